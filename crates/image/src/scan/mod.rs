//! Digests of an image and of everything in it, from one reading of the file.
//!
//! SHA-256 is sequential, but the image and its segments are streams of their own over the same
//! bytes: each is a lane with a thread of its own. Memory is a buffer for each, whatever the size
//! of the image.

mod holes;
mod lane;
mod reading;
mod roots;
mod segments;
mod whole;
mod zeros;

#[cfg(any(test, feature = "build"))]
pub(crate) use holes::Holes;
pub(crate) use lane::Lane;
pub(crate) use reading::scan;
pub(crate) use roots::Roots;
pub(crate) use segments::Segments;
pub(crate) use whole::Whole;
pub(crate) use zeros::is_zero;

#[cfg(test)]
mod tests;
