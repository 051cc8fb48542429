//! Who is online and who hears what: sessions register here, news goes out from here.

mod news;

pub use news::{EphemeralKey, News};
