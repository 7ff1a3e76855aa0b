//! How much of the machine this process may use.

/// The number of cores that this process may use. Two if the operating system does not say.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
