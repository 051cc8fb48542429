//! User chains, pinned people, and the cards of agents.

use super::key_value::{Rows, RowsMut, Span, Table};
use super::write::Write;
use super::{Replica, Stored, key, row};
use crate::client::record::Contact;
use crate::id::AccountId;

/// The links of one user chain, `blob || signature` each.
type Links = Vec<Vec<u8>>;

pub(super) fn put_chain_links(
    rows: &mut dyn RowsMut,
    account: AccountId,
    first_seq: u32,
    links: &[Vec<u8>],
) -> Stored<()> {
    let n_links = rows.count(Table::ChainLinks, &Span::of(&account.0))?;
    // A chain has no holes: links behind one that is missing are not taken.
    if first_seq > n_links + 1 {
        return Ok(());
    }
    for (number, link) in (first_seq..).zip(links).filter(|(number, _)| *number > n_links) {
        rows.put(Table::ChainLinks, &key::of_link(account, number), link)?;
    }
    Ok(())
}

pub(super) fn put_contact(rows: &mut dyn RowsMut, contact: &Contact) -> Stored<()> {
    rows.put(Table::Contacts, contact.handle.as_bytes(), &row::encode(contact))
}

pub(super) fn put_card(rows: &mut dyn RowsMut, agent: AccountId, card: &[u8]) -> Stored<()> {
    rows.put(Table::Cards, &agent.0, card)
}

fn account_of(key: &[u8]) -> Stored<AccountId> {
    row::fields(key, |r| r.array().map(AccountId))
}

fn chains(rows: &dyn Rows) -> Stored<Vec<(AccountId, Links)>> {
    let mut chains: Vec<(AccountId, Links)> = Vec::new();
    for (key, link) in rows.scan(Table::ChainLinks, &Span::all())? {
        let (account, _) = row::fields(&key, |r| Ok((AccountId(r.array()?), r.u32()?)))?;
        match chains.last_mut() {
            Some((last, links)) if *last == account => links.push(link.to_vec()),
            _ => chains.push((account, vec![link.to_vec()])),
        }
    }
    Ok(chains)
}

impl Replica {
    /// All stored user chains: their links in order, `blob || signature` each.
    pub fn chains(&self) -> Stored<Vec<(AccountId, Vec<Vec<u8>>)>> {
        self.read(|rows| chains(rows))
    }

    /// The links of a user chain in order, `blob || signature` each; empty if unknown.
    pub fn chain_links(&self, account: AccountId) -> Stored<Vec<Vec<u8>>> {
        let links = self.read(|rows| rows.scan(Table::ChainLinks, &Span::of(&account.0)))?;
        Ok(links.into_iter().map(|(_, link)| link.to_vec()).collect())
    }

    /// Stores verified links of a chain; the first has number `first_seq` (1 is the genesis). Links
    /// that are there already stay as they are.
    pub fn put_chain_links(
        &self,
        account: AccountId,
        first_seq: u32,
        links: &[Vec<u8>],
    ) -> Stored<()> {
        let links = links.to_vec();
        self.commit_one(Write::ChainLinks { account, first_seq, links }).map(drop)
    }

    /// All pinned people.
    pub fn contacts(&self) -> Stored<Vec<Contact>> {
        let contacts = self.read(|rows| rows.scan(Table::Contacts, &Span::all()))?;
        contacts.iter().map(|(_, value)| row::decode(value)).collect()
    }

    /// Stores a pin under its handle, replacing what stood there.
    pub fn put_contact(&self, contact: &Contact) -> Stored<()> {
        self.commit_one(Write::Contact(contact.clone())).map(drop)
    }

    /// The newest signed cards of agents.
    pub fn cards(&self) -> Stored<Vec<(AccountId, Vec<u8>)>> {
        let cards = self.read(|rows| rows.scan(Table::Cards, &Span::all()))?;
        cards.into_iter().map(|(key, card)| Ok((account_of(&key)?, card.to_vec()))).collect()
    }

    /// The newest signed card of an agent that was verified here.
    pub fn card(&self, agent: AccountId) -> Stored<Option<Vec<u8>>> {
        let card = self.read(|rows| rows.get(Table::Cards, &agent.0))?;
        Ok(card.map(|card| card.to_vec()))
    }

    /// Stores the newest signed card of an agent.
    pub fn put_card(&self, agent: AccountId, card: &[u8]) -> Stored<()> {
        self.commit_one(Write::Card { agent, card: card.to_vec() }).map(drop)
    }
}
