//! The files of rows and reports that tasks of Ballista's leave on an executor. The scheduler has them removed when a job has
//! ended, but one that was killed knows nothing of its jobs any more, and a task that was under way writes on. So an
//! executor looks by itself which of them belong to runs that are over.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::execution::TaskContext;

use crate::run::remote::Worker;

/// How often the jobs are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The jobs of which files may lie here.
pub(super) struct JobFiles {
    /// It has a folder for each job.
    folder: PathBuf,
    jobs: Mutex<HashMap<String, Job>>,
}

struct Job {
    /// A task of the job.
    task: Arc<[u8]>,
    /// Whether its run was over when it was last looked at. What was under way then has ended since.
    over: bool,
}

impl JobFiles {
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            jobs: Mutex::default(),
        }
    }

    /// Notes that a task begins.
    pub fn begin(&self, context: &TaskContext, task: &Arc<[u8]>) {
        if let Some(job) = context.task_id().as_deref().and_then(job_of) {
            let task = Arc::clone(task);
            self.with(|jobs| jobs.insert(job.to_owned(), Job { task, over: false }));
        }
    }

    /// Removes the files of runs that are over, again and again.
    pub async fn remove_unused(&self, worker: &Worker) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            let seen = self.with(|jobs| {
                let seen = |(name, job): (&String, &Job)| (name.clone(), Arc::clone(&job.task), job.over);
                jobs.iter().map(seen).collect::<Vec<_>>()
            });
            for (name, task, was_over) in seen {
                if worker.goes_on(&task).await {
                    continue;
                }
                if was_over {
                    self.remove(&name).await;
                }
                self.with(|jobs| {
                    if was_over {
                        jobs.remove(&name);
                    } else if let Some(job) = jobs.get_mut(&name) {
                        job.over = true;
                    }
                });
            }
        }
    }

    async fn remove(&self, job: &str) {
        let folder = self.folder.join(job);
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "the files of a run that is over can't be removed");
            }
            _ => {}
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut HashMap<String, Job>) -> T) -> T {
        what(&mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The job in Ballista's name of a task, `TID JOB/STAGE.ATTEMPT/TASK.ATTEMPT`. Its folder has the job's name.
fn job_of(task: &str) -> Option<&str> {
    let (job, _) = task.strip_prefix("TID ")?.split_once('/')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!job.is_empty() && job.chars().all(plain)).then_some(job)
}

#[cfg(test)]
mod tests {
    use super::job_of;

    #[test]
    fn the_job_of_a_task_is_a_plain_name() {
        assert_eq!(job_of("TID a1B2c3d/2.0/17.1"), Some("a1B2c3d"));
        for other in ["TID ../1.0/1.0", "TID /1.0", "TID a/../b", "a/1.0", ""] {
            assert!(job_of(other).is_none_or(|job| job == "a"), "{other}");
        }
    }
}
