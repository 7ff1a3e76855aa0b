//! How much of the machine this process may use.

/// The cores; two where the system does not tell.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
