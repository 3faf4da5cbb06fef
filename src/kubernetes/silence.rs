//! Which of the silences of a watch lead to a list.
//!
//! A watch in which nothing comes may be that of a server that was set up anew and has yet to come to the version, which only a list
//! tells. It may as well be that of a resource that does not change, where the server does not learn from its storage how far
//! that is and so has no bookmark to send. The list has told then that all is well, and each one costs the server as much as the
//! cluster is large: so the silences that are passed over double from list to list. A server that is set up anew breaks its
//! connections, which begins all this anew; only one that vanishes without a word and is back within a silence is met late.

/// The silences of a watch since anything else was met.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// How many lists they led to, as far as it counts.
    lists: u32,
    /// How many were passed over since the latest of these.
    passed: u32,
}

/// How often the number doubles. With a minute and a half each it is then less than a quarter of an hour from list to list.
const DOUBLINGS: u32 = 3;

impl Silence {
    /// One more; whether a list is due.
    pub fn leads_to_list(&mut self) -> bool {
        self.passed += 1;
        let due = self.passed >= 1 << self.lists;
        if due {
            *self = Self { lists: (self.lists + 1).min(DOUBLINGS), passed: 0 };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_lead_to_lists_less_and_less_often_but_for_ever() {
        let mut silence = Silence::default();
        let lists: Vec<usize> = (1..=31).filter(|_| silence.leads_to_list()).collect();
        assert_eq!(lists, [1, 3, 7, 15, 23, 31]);
    }
}
