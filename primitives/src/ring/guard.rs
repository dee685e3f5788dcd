use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use super::core::Ring;
use super::reader::Reader;

/// A message that is being received, borrowed from the ring. Dropping it goes on to the next one.
///
/// To forget it ([`std::mem::forget`]) goes on to nothing: the next call gives the same message.
#[must_use = "a message that is dropped is received"]
pub struct Ref<'s, T> {
    message: NonNull<T>,
    ring: &'s Ring<T>,
    reader: &'s mut Reader<T>,
}

// SAFETY: it gives `&T` to its thread, and when it is dropped may drop a `T` there.
unsafe impl<T: Send + Sync> Send for Ref<'_, T> {}
// SAFETY: `&Ref` gives `&T`, and nothing else.
unsafe impl<T: Send + Sync> Sync for Ref<'_, T> {}

impl<'s, T> Ref<'s, T> {
    /// # Safety
    /// The message is the next one of this reader.
    #[inline]
    pub(super) unsafe fn new(
        message: NonNull<T>,
        ring: &'s Ring<T>,
        reader: &'s mut Reader<T>,
    ) -> Self {
        Ref { message, ring, reader }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the reader keeps the message until it advances, which it does when this is dropped.
        unsafe { self.message.as_ref() }
    }
}

impl<T> Drop for Ref<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.reader.advance(self.ring, 1);
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ref").field(&**self).finish()
    }
}

/// Messages that are being received, borrowed from the ring, in their order. Dropping it goes on behind the last of them, also if
/// they were not all looked at.
#[must_use = "messages that are dropped are received"]
pub struct Batch<'s, T> {
    count: u64,
    ring: &'s Ring<T>,
    reader: &'s mut Reader<T>,
}

impl<'s, T> Batch<'s, T> {
    /// # Safety
    /// That many messages are available to this reader.
    pub(super) unsafe fn new(count: u64, ring: &'s Ring<T>, reader: &'s mut Reader<T>) -> Self {
        Batch { count, ring, reader }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none, which was asked for then.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One of them.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        let ahead = index as u64;
        (ahead < self.count).then(|| {
            // SAFETY: the reader keeps what is available until it advances, which it does when this is dropped.
            unsafe { self.reader.get(self.ring, ahead).as_ref() }
        })
    }

    /// All of them.
    #[inline]
    pub fn iter(&self) -> Messages<'_, T> {
        Messages { batch: self, next: 0 }
    }
}

// SAFETY: it gives `&T` to its thread, and when it is dropped may drop a `T` there.
unsafe impl<T: Send + Sync> Send for Batch<'_, T> {}
// SAFETY: `&Batch` gives `&T`, and nothing else.
unsafe impl<T: Send + Sync> Sync for Batch<'_, T> {}

impl<T> Drop for Batch<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.reader.advance(self.ring, self.count);
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The messages of a [`Batch`].
#[derive(Debug)]
pub struct Messages<'b, T> {
    batch: &'b Batch<'b, T>,
    next: usize,
}

impl<'b, T> Iterator for Messages<'b, T> {
    type Item = &'b T;

    #[inline]
    fn next(&mut self) -> Option<&'b T> {
        let message = self.batch.get(self.next)?;
        self.next += 1;
        Some(message)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len() - self.next;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Messages<'_, T> {}

impl<'b, T> IntoIterator for &'b Batch<'_, T> {
    type Item = &'b T;
    type IntoIter = Messages<'b, T>;

    #[inline]
    fn into_iter(self) -> Messages<'b, T> {
        self.iter()
    }
}
