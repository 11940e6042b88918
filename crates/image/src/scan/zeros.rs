/// Whether every byte is zero. Compares with zeros at hand, which the processor does in wide
/// steps in every build.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    bytes
        .chunks(ZEROS.len())
        .all(|piece| ZEROS.get(..piece.len()) == Some(piece))
}
