//! Writes a plan of this program for the network, and reads it again. All other plans are Ballista's own.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use super::plan::{FillBatch, Here};

/// What a plan of this program begins with. A message of Ballista can't: its first byte would be of an unknown kind.
const OURS: &[u8] = b"\xffpipeline\x00";

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
        let Some((run_id, task)) = ours.split_first_chunk() else {
            return internal_err!("a plan of this program is cut off");
        };
        let run_id = i64::from_be_bytes(*run_id);
        Ok(Arc::new(FillBatch::new(run_id, task.into(), self.here.clone())))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(fill) = node.downcast_ref::<FillBatch>() else {
            return self.inner.try_encode(node, buf, proto_converter);
        };
        buf.extend_from_slice(OURS);
        buf.extend_from_slice(&fill.run_id.to_be_bytes());
        buf.extend_from_slice(&fill.task);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;
    use datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalProtoConverter};
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;

    #[test]
    fn a_plan_arrives_as_it_was_sent() {
        let codec = Codec::new(None);
        let sent: Arc<dyn ExecutionPlan> = Arc::new(FillBatch::new(-17, b"a task".as_slice().into(), None));
        let node = PhysicalPlanNode::try_from_physical_plan(sent, &codec).unwrap();
        let context = SessionContext::new();
        let arrived = node.try_into_physical_plan(&context.task_ctx(), &codec).unwrap();
        let arrived = arrived.downcast_ref::<FillBatch>().unwrap();
        assert_eq!((arrived.run_id, &*arrived.task), (-17, b"a task".as_slice()));
        let cut = codec.try_decode(
            b"\xffpipeline\x00abc",
            &[],
            &context.task_ctx(),
            &DefaultPhysicalProtoConverter {},
        );
        assert!(cut.is_err());
    }
}
