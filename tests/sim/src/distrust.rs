//! A device whose medium lied or rotted. Nobody can promise it its image; what has to hold is that
//! no wrong image passes for a right one, and that sending one mends it.

use std::path::Path;

use crate::explorer::World;
use crate::flash_world::FlashWorld;
use crate::promises::Promises;
use crate::recorder::{Entry, Recorder};
use crate::tree::Tree;

#[derive(Debug)]
pub(crate) struct Distrust<'a>(pub(crate) &'a FlashWorld);

impl World for Distrust<'_> {
    fn recover(&self, crash: &Tree, _: &Promises, place: &Path) -> Result<Vec<Entry>, String> {
        let world = self.0;
        let recorder = Recorder::on(place, crash);
        let mut store = world.open(&recorder, place)?;
        let verified = world.verify(&mut store, &recorder);
        if verified && !world.holds_either(&recorder.live()) {
            return Err("a wrong image is said to match".to_owned());
        }
        let ended = world.send(&mut store, &recorder);
        if !ended.is_installed() || !ended.is_finished() {
            return Err(format!("does not finish: {}", ended.why()));
        }
        drop(store);
        if !world.holds_new_but_for_state(&recorder.live()) {
            return Err("after all, the installed image is another one".to_owned());
        }
        recorder.check(place)?;
        Ok(recorder.log())
    }
}
