//! Writes a plan of this program for the network, and reads it again. All other plans are Ballista's own.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use super::plan::{FillBatch, Here, ReadPart};

/// What a plan of this program begins with. A message of Ballista can't: its first byte would be of an unknown kind.
const OURS: &[u8] = b"\xffpipeline\x00";

/// Which plan it is.
const FILL: u8 = b'f';
const READ: u8 = b'r';

pub(super) struct Codec {
    inner: BallistaPhysicalExtensionCodec,
    /// `None` on the client and the scheduler.
    here: Option<Here>,
}

impl Codec {
    pub fn new(here: Option<Here>) -> Self {
        Self {
            inner: BallistaPhysicalExtensionCodec::default(),
            here,
        }
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(ours) = buf.strip_prefix(OURS) else {
            return self.inner.try_decode(buf, inputs, ctx, proto_converter);
        };
        let head = ours.split_first().and_then(|(what, rest)| {
            let (run_id, rest) = rest.split_first_chunk()?;
            let (part, task) = rest.split_first_chunk()?;
            let part = usize::try_from(u64::from_be_bytes(*part)).ok()?;
            Some((*what, i64::from_be_bytes(*run_id), part, task))
        });
        let here = self.here.clone();
        match head {
            Some((FILL, run_id, _, task)) => Ok(Arc::new(FillBatch::new(run_id, task.into(), inputs.to_vec(), here))),
            Some((READ, run_id, part, task)) => Ok(Arc::new(ReadPart::new(run_id, part, task.into(), here))),
            _ => internal_err!("a plan of this program is cut off"),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let (what, run_id, part, task) = if let Some(fill) = node.downcast_ref::<FillBatch>() {
            (FILL, fill.run_id, 0, &fill.task)
        } else if let Some(read) = node.downcast_ref::<ReadPart>() {
            (READ, read.run_id, read.part, &read.task)
        } else {
            return self.inner.try_encode(node, buf, proto_converter);
        };
        buf.extend_from_slice(OURS);
        buf.push(what);
        buf.extend_from_slice(&run_id.to_be_bytes());
        buf.extend_from_slice(&(part as u64).to_be_bytes());
        buf.extend_from_slice(task);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;
    use datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalProtoConverter};
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;
    use crate::cluster::plan::plan;
    use crate::run::remote::Job;

    #[test]
    fn a_plan_arrives_as_it_was_sent() {
        let codec = Codec::new(None);
        let job = Job {
            fill: b"a task".to_vec(),
            parts: vec![b"a part".to_vec(), b"".to_vec()],
        };
        let node = PhysicalPlanNode::try_from_physical_plan(plan(-17, job), &codec).unwrap();
        let context = SessionContext::new();
        let arrived = node.try_into_physical_plan(&context.task_ctx(), &codec).unwrap();
        let fill = arrived.downcast_ref::<FillBatch>().unwrap();
        assert_eq!((fill.run_id, &*fill.task), (-17, b"a task".as_slice()));
        let parts: Vec<(i64, usize, Vec<u8>)> = arrived
            .children()
            .into_iter()
            .map(|cut| {
                let read = cut.children()[0].downcast_ref::<ReadPart>().unwrap();
                (read.run_id, read.part, read.task.to_vec())
            })
            .collect();
        assert_eq!(parts, [(-17, 0, b"a part".to_vec()), (-17, 1, Vec::new())]);
        let cut = codec.try_decode(
            b"\xffpipeline\x00abc",
            &[],
            &context.task_ctx(),
            &DefaultPhysicalProtoConverter {},
        );
        assert!(cut.is_err());
    }
}
