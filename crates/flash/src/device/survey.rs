//! The survey: which blocks of a segment does the device have?

use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use nx_image::digest::Digest;

use crate::blocks::Block;
use crate::device::desk::{Desk, Purpose};
use crate::device::offer::Refused;
use crate::device::request::{Area, Outcome, Request};
use crate::device::transfer::{Transfer, say, set_bit};
use crate::limits::MESSAGES_IN_FLIGHT_MAX;
use crate::session::Channel;
use crate::wire::{FromDevice, Need, Object, RejectCode};

/// Where the survey of a segment is.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) segment: u8,
    pub(super) page: u16,
    pub(super) index: u32,
    /// What the page's `NEED` will say.
    pub(super) bits: Vec<u8>,
    step: Step,
    /// Whether the installed image was searched for blocks of this segment at any offset.
    pub(super) searched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The store is asked for the directory.
    Directory,
    /// The host is asked for it.
    WantDirectory,
    /// The page is next, once the host has taken the answers before.
    NextPage,
    /// The store is asked for the page.
    Page,
    /// The host is asked for it.
    WantPage,
    /// A block of the staged image is being digested.
    Staged,
    /// A block of the installed image is being digested.
    Installed,
    /// A block is being copied from the installed image.
    Adopting,
    /// A block is being looked for elsewhere in the installed image.
    Gathering,
    /// The store is asked whether it can search.
    MaySearch,
    /// The host is asked for the sums of this page of the segment.
    WantSums(u16),
    /// The store searches.
    Searching,
}

impl Survey {
    /// Whether it waits for the store, not for the host.
    pub(super) const fn is_at_work(&self) -> bool {
        match self.step {
            Step::WantDirectory | Step::NextPage | Step::WantPage | Step::WantSums(_) => false,
            Step::Directory
            | Step::Page
            | Step::Staged
            | Step::Installed
            | Step::Adopting
            | Step::Gathering
            | Step::MaySearch
            | Step::Searching => true,
        }
    }
}

impl Transfer {
    /// The host asks which blocks of a segment are needed.
    pub(super) fn ask_for(&mut self, segment: &str) -> Result<(), Refused> {
        let found = self.offer.manifest.segment(segment);
        let index = found.and_then(|(index, _)| u8::try_from(index).ok());
        let unknown = || (RejectCode::Address, format!("no segment {segment}"));
        self.asked.push_back(index.ok_or_else(unknown)?);
        Ok(())
    }

    /// Goes on with the survey where nothing is being waited for.
    pub(super) fn pump(&mut self, channel: &mut Channel, desk: &mut Desk) {
        self.write_zeros(desk);
        while channel.queued() < MESSAGES_IN_FLIGHT_MAX {
            match &self.survey {
                Some(Survey {
                    step: Step::NextPage,
                    ..
                }) => self.load_next_page(desk),
                Some(_) => return,
                None => {
                    let Some(segment) = self.asked.pop_front() else {
                        return;
                    };
                    self.begin_segment(segment, channel, desk);
                }
            }
        }
    }

    fn begin_segment(&mut self, segment: u8, channel: &mut Channel, desk: &mut Desk) {
        self.surveyed = self.surveyed.max(segment.saturating_add(1));
        if self.keeps(segment) {
            if !self.kept.contains(&segment) {
                self.kept.push(segment);
            }
            let mut index = 0;
            while let Some(block) = self.map.in_segment(segment, index) {
                self.proven.insert(block.number);
                index = index.saturating_add(1);
            }
            let need = Need {
                segment,
                page: 0,
                last: true,
                kept: true,
                bitmap: Vec::new(),
            };
            say(channel, &FromDevice::Need(need));
            return;
        }
        let one_page = self.map.page_count(segment) <= 1;
        let step = if one_page {
            Step::NextPage
        } else {
            Step::Directory
        };
        self.survey = Some(Survey {
            segment,
            page: 0,
            index: 0,
            bits: Vec::new(),
            step,
            searched: false,
        });
        if let Some(root) = self.root(segment).filter(|_| !one_page) {
            desk.ask(Request::LoadDirectory { root }, Purpose::Survey);
        }
    }

    fn load_next_page(&mut self, desk: &mut Desk) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        survey.step = Step::Page;
        survey.index = 0;
        survey.bits.clear();
        let (segment, page) = (survey.segment, survey.page);
        if let Some(root) = self.root(segment) {
            desk.ask(Request::LoadPage { root, page }, Purpose::Survey);
        }
    }

    /// Takes the store's answer.
    pub(super) fn surveyed(
        &mut self,
        outcome: Outcome,
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> Result<(), Refused> {
        let Some(survey) = &self.survey else {
            return Ok(());
        };
        let (segment, page) = (survey.segment, survey.page);
        match (survey.step, outcome) {
            (Step::Directory, Outcome::Bytes(Some(bytes))) if self.is_root(segment, &bytes) => {
                self.directory = Some((segment, bytes));
                self.set_step(Step::NextPage);
            }
            (Step::Directory, _) => {
                self.set_step(Step::WantDirectory);
                let pages = usize::from(self.map.page_count(segment));
                let len = pages.saturating_mul(Digest::BYTES);
                self.want(Object::Directory { segment }, len, channel);
            }
            (Step::Page, outcome) => {
                let stored = match outcome {
                    Outcome::Bytes(Some(bytes)) => self.prove_page(segment, page, bytes),
                    _ => false,
                };
                if stored {
                    self.look_at_block(channel, desk);
                } else {
                    self.set_step(Step::WantPage);
                    let blocks = usize::try_from(self.map.page_blocks(segment, page)).unwrap_or(0);
                    let len = blocks.saturating_mul(Digest::BYTES);
                    self.want(Object::Page { segment, page }, len, channel);
                }
            }
            (Step::Staged, Outcome::Digest(got)) => {
                let block = self.survey_block();
                match block.filter(|block| got.is_some() && self.expected(block) == got) {
                    Some(block) => {
                        self.have(&block, desk);
                        self.next_block(channel, desk);
                    }
                    None if self.same_as_installed => self.need_block(channel, desk),
                    None => self.look_at_installed(channel, desk),
                }
            }
            (Step::Installed, Outcome::Digest(got)) => {
                let block = self.survey_block();
                match block.filter(|block| got.is_some() && self.expected(block) == got) {
                    Some(block) if self.same_as_installed => {
                        self.present.insert(block.number);
                        self.next_block(channel, desk);
                    }
                    Some(block) => {
                        self.set_step(Step::Adopting);
                        let (offset, bytes) = (block.offset, block.bytes);
                        desk.ask(Request::Adopt { offset, bytes }, Purpose::Survey);
                    }
                    None if self.same_as_installed && self.resumed => self.look_at_staged(desk),
                    None => self.gather(channel, desk),
                }
            }
            (Step::MaySearch, Outcome::Flag(true)) => self.want_sums(0, channel),
            (Step::Searching, Outcome::Flag(true)) => self.search_on(desk),
            (Step::MaySearch | Step::Searching, _) => self.look_at_page_again(channel, desk),
            (Step::Gathering, Outcome::Flag(false)) => self.need_block(channel, desk),
            (Step::Adopting | Step::Gathering, _) => {
                if let Some(block) = self.survey_block() {
                    self.have(&block, desk);
                }
                self.next_block(channel, desk);
            }
            _ => {}
        }
        self.pump(channel, desk);
        Ok(())
    }

    /// Takes an object that the host was asked for.
    pub(super) fn object(
        &mut self,
        object: Object,
        bytes: Vec<u8>,
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> Result<(), Refused> {
        let wrong = |what: &str| (RejectCode::Digests, what.to_string());
        match object {
            Object::Directory { segment } => {
                let Some(root) = self.root(segment) else {
                    return Ok(());
                };
                if !self.is_root(segment, &bytes) {
                    return Err(wrong("a page directory is not the signed one"));
                }
                let store = Request::StoreDirectory {
                    root,
                    bytes: bytes.clone(),
                };
                desk.ask(store, Purpose::Kept);
                self.directory = Some((segment, bytes));
                self.set_step(Step::NextPage);
                self.pump(channel, desk);
            }
            Object::Page { segment, page } => {
                let Some(root) = self.root(segment) else {
                    return Ok(());
                };
                let store = Request::StorePage {
                    root,
                    page,
                    bytes: bytes.clone(),
                };
                if !self.prove_page(segment, page, bytes) {
                    return Err(wrong("a page of block digests is not the signed one"));
                }
                desk.ask(store, Purpose::Kept);
                self.look_at_block(channel, desk);
            }
            Object::Sums { segment, page } => self.learn(segment, page, bytes, channel, desk),
            Object::Offer => {}
        }
        Ok(())
    }

    fn is_root(&self, segment: u8, directory: &[u8]) -> bool {
        let pages = usize::from(self.map.page_count(segment));
        directory.len() == pages.saturating_mul(Digest::BYTES)
            && self.root(segment) == Some(Digest::of(directory))
    }

    pub(super) fn set_step(&mut self, step: Step) {
        if let Some(survey) = &mut self.survey {
            survey.step = step;
        }
    }

    pub(super) fn survey_block(&self) -> Option<Block> {
        let survey = self.survey.as_ref()?;
        self.map.in_page(survey.segment, survey.page, survey.index)
    }

    /// Staged blocks need no copying, so they are looked for first; but where the image is
    /// installed already, nothing may be left to do at all.
    pub(super) fn look_at_block(&mut self, channel: &mut Channel, desk: &mut Desk) {
        if self.resumed && !self.same_as_installed {
            self.look_at_staged(desk);
        } else {
            self.look_at_installed(channel, desk);
        }
    }

    fn look_at_staged(&mut self, desk: &mut Desk) {
        let Some(block) = self.survey_block() else {
            return;
        };
        self.set_step(Step::Staged);
        let (offset, bytes) = (block.offset, block.bytes);
        desk.ask(
            Request::Digest {
                area: Area::Staged,
                offset,
                bytes,
            },
            Purpose::Survey,
        );
    }

    fn look_at_installed(&mut self, channel: &mut Channel, desk: &mut Desk) {
        let Some(block) = self.survey_block() else {
            return;
        };
        if !self.can_adopt {
            self.need_block(channel, desk);
            return;
        }
        self.set_step(Step::Installed);
        let (offset, bytes) = (block.offset, block.bytes);
        desk.ask(
            Request::Digest {
                area: Area::Installed,
                offset,
                bytes,
            },
            Purpose::Survey,
        );
    }

    pub(super) fn need_block(&mut self, channel: &mut Channel, desk: &mut Desk) {
        self.set_needed();
        self.next_block(channel, desk);
    }

    /// The host has to send the block, unless it is known without.
    fn set_needed(&mut self) {
        if self
            .survey_block()
            .is_some_and(|block| self.note_zero(&block))
        {
            return;
        }
        if let Some(survey) = &mut self.survey {
            let index = usize::try_from(survey.index).unwrap_or(usize::MAX);
            set_bit(&mut survey.bits, index);
        }
    }

    /// Goes on to the next block that needs a question, or ends the page.
    pub(super) fn next_block(&mut self, channel: &mut Channel, desk: &mut Desk) {
        loop {
            let Some(survey) = &mut self.survey else {
                return;
            };
            let bytes = u64::from(self.map.block_bytes());
            self.looked_at_bytes = self.looked_at_bytes.saturating_add(bytes);
            survey.index = survey.index.saturating_add(1);
            let blocks = self.map.page_blocks(survey.segment, survey.page);
            if survey.index >= blocks {
                if self.is_worth_a_search() {
                    self.set_step(Step::MaySearch);
                    desk.ask(Request::MaySearch, Purpose::Survey);
                } else {
                    self.end_page(channel);
                }
                return;
            }
            let (segment, page, index) = (survey.segment, survey.page, survey.index);
            let block = self.map.in_page(segment, page, index);
            if block.is_some_and(|block| self.proven.contains(block.number)) {
                continue;
            }
            if self.resumed || self.can_adopt {
                self.look_at_block(channel, desk);
                return;
            }
            self.set_needed();
        }
    }

    fn end_page(&mut self, channel: &mut Channel) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        let (segment, page) = (survey.segment, survey.page);
        let last = page.saturating_add(1) >= self.map.page_count(segment);
        let bitmap = core::mem::take(&mut survey.bits);
        if last {
            self.survey = None;
        } else {
            survey.page = page.saturating_add(1);
            survey.step = Step::NextPage;
        }
        say(
            channel,
            &FromDevice::Need(Need {
                segment,
                page,
                last,
                kept: false,
                bitmap,
            }),
        );
    }
}
