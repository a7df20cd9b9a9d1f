//! Matching with an automaton that is made deterministic while it runs.
//!
//! Mostly it is asked whether a pattern matches, of short texts and for hundreds of patterns. So there is one automaton,
//! for reading forward; `regex-automata`'s own choice of engines would keep a second one, for reading backward, and take
//! more than twice the memory and the time to build.

use std::{
    fmt,
    ops::Range,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use regex_automata::{
    Input,
    hybrid::{
        BuildError,
        dfa::{Cache, Config, DFA},
    },
    nfa::thompson::{NFA, pikevm::PikeVM},
    util::pool::Pool,
};

/// Bytes up to which one remembers what it met while it matched.
const MAX_CACHE: usize = 256 << 10;

type Create = Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// One automaton, and what threads remember of its work.
#[derive(Clone)]
pub(super) struct Engine(Arc<Inner>);

struct Inner {
    dfa: DFA,
    caches: Pool<Cache, Create>,
}

impl Engine {
    pub(super) fn new(nfa: NFA) -> Result<Self, Box<BuildError>> {
        let config = Config::new()
            .cache_capacity(MAX_CACHE)
            // Of a large pattern even a few states take more; it gets the least that works.
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(Box::new)?;
        let create = {
            let dfa = dfa.clone();
            Box::new(move || dfa.create_cache())
        };
        Ok(Self(Arc::new(Inner {
            dfa,
            caches: Pool::new(create),
        })))
    }

    /// Does it match anywhere in `text`?
    pub(super) fn is_match(&self, text: &str) -> bool {
        let input = Input::new(text).earliest(true);
        let mut cache = self.0.caches.get();
        match self.0.dfa.try_search_fwd(&mut cache, &input) {
            Ok(found) => found.is_some(),
            // It has no bytes at which it would give up, and goes on however often its memory is full.
            Err(_) => self.find(text).is_some(),
        }
    }

    /// The first part of `text` that matches, as long as Go would take it.
    pub(super) fn find(&self, text: &str) -> Option<Range<usize>> {
        let machine = PikeVM::new_from_nfa(self.0.dfa.get_nfa().clone()).ok()?;
        let mut cache = machine.create_cache();
        let found = machine.find(&mut cache, text)?;
        Some(found.range())
    }

    /// Bytes that it takes before it matches anything.
    #[cfg(test)]
    pub(super) fn memory_usage(&self) -> usize {
        self.0.dfa.get_nfa().memory_usage()
    }
}

/// What it holds says nothing to anybody.
impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
