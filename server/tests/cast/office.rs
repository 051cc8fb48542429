//! Behind the counter of a town: its operator, its database, second devices.

use mathia_protocol::client::{HpkeEntry, Replica};
use mathia_protocol::crypto::commit::Commit;
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::crypto::user_chain::{
    DeviceLabel, DeviceRecord, LinkBody, SignedLink, UserChain,
};
use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomId, RoomNumber, Seq, TimeMs};
use mathia_protocol::log::RoomState;
use mathia_protocol::wire::Request;
use mathia_server::admin::operator::{LiveStatus, Operator};
use mathia_server::admin::socket::{AdminReply, AdminRequest};
use mathia_server::serve::Server;
use mathia_server::store::{EntryRow, Read};

use super::{Person, Session, TestResult, Town, now};

impl Town {
    /// The server, which must be awake.
    pub(crate) fn server(&self) -> TestResult<&Server> {
        self.server.as_ref().ok_or_else(|| "the server sleeps".into())
    }

    /// Asks the operator for an invite.
    pub(crate) async fn operators_invite(&self) -> TestResult<String> {
        let services = self.server()?.services();
        let operator = Operator { services, address: self.address.to_string(), live: None };
        let request = AdminRequest::Invite { uses: 1, lifetime_s: 3_600, rooms: Vec::new() };
        match operator.carry_out(request).await {
            AdminReply::Lines(lines) => Ok(lines[0]["link"].as_str().ok_or("no link")?.to_owned()),
            AdminReply::Failed { error, .. } => Err(error.into()),
        }
    }

    /// Asks the operator how often damaged data was met.
    pub(crate) async fn damage_found(&self) -> TestResult<u64> {
        let services = self.server()?.services();
        let (listening, started) = (self.address.to_string(), now());
        let live = Some(LiveStatus { listening, n_sessions: 0, started });
        let operator = Operator { services, address: self.address.to_string(), live };
        match operator.carry_out(AdminRequest::Status).await {
            AdminReply::Lines(lines) => Ok(lines[0]["damage_found"].as_u64().ok_or("no count")?),
            AdminReply::Failed { error, .. } => Err(error.into()),
        }
    }

    /// Gives somebody a second device and starts its client.
    pub(crate) async fn second_device(&self, person: &Person) -> TestResult<Person> {
        let mut rng = rand::rng();
        let created = now();
        let mut identity = person.identity.duplicate();
        identity.signing = SigningKey::generate(&mut rng);
        identity.hpke = vec![HpkeEntry::generate(&mut rng, 1, created)];
        let label = DeviceLabel { name: "a phone".to_owned(), os: "android".to_owned(), created };
        let (key, hpke) = (&identity.signing, identity.hpke[0].secret.public());
        let record = DeviceRecord::offer(&mut rng, key, hpke, label, identity.account, [7; 16]);
        let chain = self.chain(person.account())?;
        let body = LinkBody::AddDevice(Box::new(record));
        let link = chain.next_link(body, created, person.device()).sign(&person.identity.signing);
        let mut session = Session::login(self.address, &person.identity).await?;
        session.ask(Request::PutLink { link: link.0 }).await?;
        let replica: Replica = Replica::in_memory();
        if let Some(server) = person.replica.server()? {
            replica.put_server(&server)?;
        }
        Person::start(&person.handle, self.address, identity, replica, self.clock.clone())
    }

    /// The user chain of an account, as the server has it.
    pub(crate) fn chain(&self, account: AccountId) -> TestResult<UserChain> {
        let links = self.store()?.links(account, 1)?;
        let links: Vec<SignedLink> = links.into_iter().map(|row| SignedLink(row.link)).collect();
        Ok(UserChain::verify(&links)?)
    }

    /// The server's database, for looking at what it stored.
    pub(crate) fn store(&self) -> TestResult<Box<dyn Read + Send>> {
        Ok(self.server()?.services().store.reader()?)
    }

    /// The server's short number of a room.
    pub(crate) fn number(&self, room: RoomId) -> TestResult<RoomNumber> {
        Ok(self.store()?.room(room)?.ok_or("the server has no such room")?.number)
    }

    /// Epochs for which the server keeps a key for a device.
    pub(crate) fn epochs_wrapped(&self, room: RoomId, device: DeviceId) -> TestResult<Vec<Epoch>> {
        let wraps = self.store()?.wraps(self.number(room)?, device, Epoch(0))?;
        Ok(wraps.into_iter().map(|row| row.epoch).collect())
    }

    /// A sealed room as its commits in the database tell it.
    pub(crate) fn state(&self, room: RoomId) -> TestResult<RoomState> {
        let rows = self.store()?.commits(self.number(room)?, Seq(0), 1_000)?;
        let commit = |row: EntryRow| {
            let commit = Commit::decode(row.body.ok_or("a commit without a body")?)?;
            Ok((row.seq, row.time, commit))
        };
        let commits: Vec<(Seq, TimeMs, Commit)> =
            rows.into_iter().map(commit).collect::<TestResult<_>>()?;
        let state = RoomState::rebuild(commits.iter().map(|(seq, time, c)| (*seq, *time, c)));
        state.ok_or_else(|| "the room has no creation".into())
    }
}
