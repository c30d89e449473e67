//! Signatures of executors within calls, verified together with others instead of one by one.

use std::cell::RefCell;

use crate::contract::{OneByOne, Signatures};
use crate::crypto::{BatchVerifier, PublicKey, Signature};

/// A signature that somebody asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Question {
    pub(super) fn put_to(&self, batch: &mut BatchVerifier) {
        batch.push(&self.key, &self.message, &self.signature);
    }
}

/// Says that every signature is genuine and remembers what it was asked, to be verified together afterwards.
///
/// What was decided meanwhile counts for nothing until that is done.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    questions: RefCell<Vec<Question>>,
}

impl Deferred {
    pub(super) fn take(&self) -> Vec<Question> {
        self.questions.take()
    }
}

impl Signatures for Deferred {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        self.questions.borrow_mut().push(Question {
            key: *key,
            message: message.to_vec(),
            signature: *signature,
        });
        true
    }
}

/// What was verified before; anything else is verified when it is asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    answers: Vec<(Question, bool)>,
}

impl Answered {
    pub(super) fn add(&mut self, question: Question, is_genuine: bool) {
        self.answers.push((question, is_genuine));
    }
}

impl Signatures for Answered {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let known = self.answers.iter().find(|(question, _)| {
            question.key == *key && question.signature == *signature && question.message == message
        });
        known.map_or_else(
            || OneByOne.verify(key, message, signature),
            |(_, is_genuine)| *is_genuine,
        )
    }
}
