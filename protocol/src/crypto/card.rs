//! What an agent says of itself: who runs it, and where what it is shown goes (CRYPTO B6).
//!
//! ```text
//! card = ver u8 | account[32] | device[16] | issued_ms u64 | provider | model | is_local u8 |
//!        operator | sig[64]        sig = sign(device, "agent-card", everything before)
//! ```
//!
//! The server keeps the newest card and cannot change it; clients refuse an older one than they saw.
//! An ask names the hash of the card that its asker was shown, so an agent whose provider changed
//! meanwhile refuses it: nothing goes where the asker did not agree to.

use super::ce::{CeError, Reader, Writer};
use super::hash::{hash, sha256};
use super::identity::{BadSignature, Signature, SigningKey, VerifyKey};
use super::labels;
use crate::id::{AccountId, DeviceId, Hash, TimeMs};
use crate::limits::{CARD_TEXT_LEN_MAX, OPERATOR_LEN_MAX};

const VERSION: u8 = 1;

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCard {
    /// The agent.
    pub account: AccountId,
    /// The device that signed.
    pub device: DeviceId,
    /// When it was made, by the agent's clock; the newest counts.
    pub issued: TimeMs,
    /// Host that gets what the agent is shown; empty for an agent without a model. From outside.
    pub provider: String,
    /// The model, as the provider calls it. Text from outside.
    pub model: String,
    /// Whether the provider runs on the agent's own machine or network.
    pub is_local: bool,
    /// Who runs the agent. Text from outside.
    pub operator: String,
}

/// Why a card is not accepted. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The bytes are no card.
    #[error("the card is malformed: {0}")]
    Malformed(#[from] CeError),
    /// Another agent's, or signed by another device.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl AgentCard {
    /// Signs the card: the bytes that the server keeps.
    pub fn sign(&self, signer: &SigningKey) -> Vec<u8> {
        let mut bytes = Writer::with_capacity(256)
            .u8(VERSION)
            .fixed(&self.account.0)
            .fixed(&self.device.0)
            .u64(self.issued.0)
            .bytes(self.provider.as_bytes())
            .bytes(self.model.as_bytes())
            .u8(u8::from(self.is_local))
            .bytes(self.operator.as_bytes())
            .finish();
        let signature = signer.sign(labels::AGENT_CARD, &[&bytes]);
        bytes.extend_from_slice(&signature.0);
        bytes
    }

    /// Reads a card without checking who signed it: enough for the server, which shows it to nobody.
    ///
    /// # Errors
    ///
    /// [`CardError::Malformed`].
    pub fn decode_unverified(signed: &[u8]) -> Result<Self, CardError> {
        let (blob, _) = Signature::split_from(signed).ok_or(CeError::Short)?;
        let mut r = Reader::new(blob);
        let value = r.u8()?;
        if value != VERSION {
            return Err(CeError::Unknown { what: "card version", value }.into());
        }
        let (account, device) = (AccountId(r.array()?), DeviceId(r.array()?));
        let issued = TimeMs(r.u64()?);
        let provider = r.text(CARD_TEXT_LEN_MAX, "provider")?.to_owned();
        let model = r.text(CARD_TEXT_LEN_MAX, "model")?.to_owned();
        let is_local = match r.u8()? {
            0 => false,
            1 => true,
            value => return Err(CeError::Unknown { what: "place", value }.into()),
        };
        let operator = r.text(OPERATOR_LEN_MAX, "operator")?.to_owned();
        r.finish()?;
        Ok(Self { account, device, issued, provider, model, is_local, operator })
    }

    /// Reads a card and checks that the device `key`, of the agent it names, signed it.
    ///
    /// # Errors
    ///
    /// [`CardError`]; retrying never helps.
    pub fn open(signed: &[u8], key: &VerifyKey) -> Result<Self, CardError> {
        let card = Self::decode_unverified(signed)?;
        let (blob, signature) = Signature::split_from(signed).ok_or(CeError::Short)?;
        if key.device_id() != card.device {
            return Err(BadSignature.into());
        }
        key.verify(labels::AGENT_CARD, &[blob], &signature)?;
        Ok(card)
    }

    /// What an ask names: the same for cards that promise the same, whenever they were issued.
    ///
    /// `H("agent-card-hash", account || SHA-256(provider) || SHA-256(model) || is_local ||
    /// SHA-256(operator))`
    pub fn promise(&self) -> Hash {
        let text = |text: &str| sha256(&[text.as_bytes()]).0;
        let (provider, model) = (text(&self.provider), text(&self.model));
        let (place, operator) = ([u8::from(self.is_local)], text(&self.operator));
        hash(labels::AGENT_CARD_HASH, &[&self.account.0, &provider, &model, &place, &operator])
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn card(signer: &SigningKey) -> AgentCard {
        AgentCard {
            account: AccountId([1; 32]),
            device: signer.device_id(),
            issued: TimeMs(5),
            provider: "api.example.org".to_owned(),
            model: "small-4".to_owned(),
            is_local: false,
            operator: "Heron & Co".to_owned(),
        }
    }

    #[test]
    fn a_card_is_its_agents_or_nobodys() {
        let mut rng = StdRng::seed_from_u64(1);
        let (ours, theirs) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let card = card(&ours);
        let signed = card.sign(&ours);
        assert_eq!(AgentCard::open(&signed, &ours.public()), Ok(card.clone()));
        assert!(AgentCard::open(&signed, &theirs.public()).is_err());
        for place in 0..signed.len() {
            let mut changed = signed.clone();
            changed[place] ^= 1;
            assert!(AgentCard::open(&changed, &ours.public()).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_card_made_anew_promises_the_same_and_another_provider_does_not() {
        let card = card(&SigningKey::generate(&mut StdRng::seed_from_u64(1)));
        let later = AgentCard { issued: TimeMs(6), ..card.clone() };
        assert_eq!(card.promise(), later.promise());
        let moved = AgentCard { provider: "elsewhere.example".to_owned(), ..card.clone() };
        assert_ne!(card.promise(), moved.promise());
        assert_ne!(card.promise(), AgentCard { is_local: true, ..card }.promise());
    }
}
