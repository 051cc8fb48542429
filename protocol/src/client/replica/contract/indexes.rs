//! Indexes over the logs.

use super::{TEAM, batch, entry, facts};
use crate::client::StoredContent;
use crate::client::event::UnreadableCause;
use crate::client::record::EntryRecord;
use crate::client::replica::{RelationRow, Replica, Span, Table, index};
use crate::crypto::content::{
    Ask, Attached, Content as Said, Reaction, ReactionCount, RelationKind, Stop,
};
use crate::id::{AccountId, Hash, Seq, TimeMs};
use crate::wire::EntryBody;

pub(in crate::client) fn what_could_not_be_read_becomes_readable(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let unreadable =
        |seq, cause| EntryRecord { content: StoredContent::Unreadable(cause), ..entry(seq, "") };
    let mut gone = entry(3, "");
    (gone.body, gone.content) = (EntryBody::Gone(Hash([9; 32])), StoredContent::Expired);
    replica
        .apply(
            TEAM,
            batch(vec![
                unreadable(1, UnreadableCause::KeyAsked),
                unreadable(2, UnreadableCause::BeforeJoin),
                gone.clone(),
                unreadable(4, UnreadableCause::KeyAsked),
            ]),
        )
        .unwrap();
    let asked = |count| replica.unreadable(TEAM, UnreadableCause::KeyAsked, count).unwrap();
    assert_eq!(asked(10), [Seq(1), Seq(4)]);
    assert_eq!(asked(1), [Seq(1)]);
    let text = StoredContent::Said(Said::Text("@ann".to_owned()));
    replica.put_content(TEAM, Seq(1), &text, true).unwrap();
    assert_eq!(asked(10), [Seq(4)]);
    let entries = replica.entries_after(TEAM, Seq(0), 10).unwrap();
    assert_eq!((&entries[0].content, entries[0].is_mention), (&text, true));
    assert_eq!(entries[2], gone);
    assert_eq!(replica.n_mentions(TEAM, Seq(0)).unwrap(), 1);
    assert_eq!(replica.n_mentions(TEAM, Seq(1)).unwrap(), 0);
    assert_eq!(replica.mentions(TEAM, Seq(0)).unwrap(), [Seq(1)]);
}

fn says(seq: u64, author: u8, content: &Said) -> EntryRecord {
    let content = StoredContent::Said(content.clone());
    EntryRecord { author: AccountId([author; 32]), content, ..entry(seq, "") }
}

fn stop(ask: u64) -> Said {
    Said::Stop(Stop { agent: AccountId([9; 32]), ask: Seq(ask) })
}

fn ask(shown: &[u64]) -> Said {
    let attached = shown.iter().map(|seq| Attached {
        seq: Seq(*seq),
        author: AccountId([1; 32]),
        handle: "ann".to_owned(),
        time: TimeMs(1),
        text: "hello".to_owned(),
    });
    Said::Ask(Box::new(Ask {
        agent: AccountId([9; 32]),
        card: Hash::ZERO,
        again: None,
        n_left_out: 0,
        text: "why?".to_owned(),
        attached: attached.collect(),
    }))
}

fn stopped(target: u64, seq: u64, author: u8) -> RelationRow {
    let (target, seq, author) = (Seq(target), Seq(seq), AccountId([author; 32]));
    RelationRow { target, kind: RelationKind::Stop, seq, author }
}

pub(in crate::client) fn what_belongs_to_an_entry_is_found_by_it(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
    let log = vec![
        entry(1, "one"),
        entry(2, "two"),
        says(3, 5, &stop(2)),
        says(4, 6, &stop(1)),
        says(5, 5, &stop(1)),
        EntryRecord { content: asked, ..says(6, 7, &stop(2)) },
    ];
    replica.apply(TEAM, batch(log)).unwrap();
    let of_one = [stopped(1, 4, 6), stopped(1, 5, 5)];
    assert_eq!(replica.relations(TEAM, Seq(1)).unwrap(), of_one);
    let both = replica.relations_of(TEAM, Seq(1)..Seq(3)).unwrap();
    assert_eq!(both, [of_one[0], of_one[1], stopped(2, 3, 5)]);
    assert!(replica.relations_of(TEAM, Seq(3)..Seq(9)).unwrap().is_empty());
    let opened = says(6, 7, &stop(2)).content;
    replica.put_content(TEAM, Seq(6), &opened, false).unwrap();
    assert_eq!(replica.relations(TEAM, Seq(2)).unwrap(), [stopped(2, 3, 5), stopped(2, 6, 7)]);
    replica.put_content(TEAM, Seq(3), &StoredContent::Expired, false).unwrap();
    assert_eq!(replica.relations(TEAM, Seq(2)).unwrap(), [stopped(2, 6, 7)]);
}

fn reaction(target: &EntryRecord, emoji: &str, is_removed: bool) -> Said {
    let emoji = emoji.parse().unwrap();
    Said::Reaction(Reaction { target: target.seq, target_hash: target.half(), emoji, is_removed })
}

pub(in crate::client) fn reactions_are_counted_at_their_message(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let (one, two) = (entry(1, "one"), entry(2, "two"));
    let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
    let log = vec![
        one.clone(),
        two.clone(),
        says(3, 5, &reaction(&two, "👍", false)),
        says(4, 6, &reaction(&one, "🎉", false)),
        says(5, 6, &reaction(&two, "👍", false)),
        says(6, 5, &reaction(&two, "👍", true)),
        // Its author saw another entry there.
        says(7, 7, &reaction(&EntryRecord { seq: Seq(2), ..one.clone() }, "👍", false)),
        EntryRecord { content: asked, ..says(8, 8, &stop(1)) },
    ];
    replica.apply(TEAM, batch(log)).unwrap();
    let counted = |seq| {
        let entry = replica.entry(TEAM, Seq(seq)).unwrap().unwrap();
        let count = |one: &ReactionCount| {
            let authors = one.authors.iter().map(|author| author.0[0]);
            (one.emoji.to_string(), authors.collect::<Vec<_>>())
        };
        entry.reactions.iter().map(count).collect::<Vec<_>>()
    };
    let is = |emoji: &str, authors: &[u8]| (emoji.to_owned(), authors.to_vec());
    assert_eq!(counted(1), [is("🎉", &[6])]);
    assert_eq!(counted(2), [is("👍", &[6])]);
    let page = replica.entries_before(TEAM, Seq(0), 10).unwrap();
    assert_eq!(page.iter().filter(|entry| !entry.reactions.is_empty()).count(), 2);
    let opened = StoredContent::Said(reaction(&two, "👍", false));
    replica.put_content(TEAM, Seq(8), &opened, false).unwrap();
    assert_eq!(counted(2), [is("👍", &[6, 8])], "its key came");
    replica.put_content(TEAM, Seq(5), &StoredContent::Expired, false).unwrap();
    assert_eq!(counted(2), [is("👍", &[8])], "what expired counts no more");
}

pub(in crate::client) fn what_a_question_showed_is_marked_once(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let log = vec![entry(1, "one"), entry(2, "two"), says(3, 5, &ask(&[2]))];
    assert_eq!(replica.apply(TEAM, batch(log.clone())).unwrap(), [Seq(2)]);
    assert!(replica.apply(TEAM, batch(log)).unwrap().is_empty(), "another process was faster");
    let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
    let late = EntryRecord { content: asked, ..entry(4, "") };
    replica.apply(TEAM, batch(vec![late])).unwrap();
    let opened = says(4, 5, &ask(&[1, 2])).content;
    assert_eq!(replica.put_content(TEAM, Seq(4), &opened, false).unwrap(), [Seq(1)]);
    assert_eq!(replica.note_shown(TEAM, &[Seq(2), Seq(3)]).unwrap(), [Seq(3)]);
    let shown = |entries: Vec<EntryRecord>| entries.iter().map(|e| e.is_shown).collect::<Vec<_>>();
    let all = [true, true, true, false];
    assert_eq!(shown(replica.entries_after(TEAM, Seq(0), 9).unwrap()), all);
    assert_eq!(shown(replica.entries_before(TEAM, Seq(0), 9).unwrap()), all);
    assert!(replica.entry(TEAM, Seq(2)).unwrap().unwrap().is_shown);
}

pub(in crate::client) fn older_indexes_are_filled_again(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let log = vec![entry(1, "@one"), says(2, 5, &ask(&[1])), says(3, 5, &stop(2))];
    replica.apply(TEAM, batch(log)).unwrap();
    let emptied = replica.write(|rows| {
        rows.delete_span(Table::Relations, &Span::all())?;
        rows.delete_span(Table::Shown, &Span::all())?;
        index::rebuild(rows)
    });
    emptied.unwrap();
    assert!(!replica.read(|rows| index::are_old(rows)).unwrap());
    assert_eq!(replica.relations(TEAM, Seq(2)).unwrap(), [stopped(2, 3, 5)]);
    let first = replica.entry(TEAM, Seq(1)).unwrap().unwrap();
    assert!(first.is_shown && first.is_mention);
    assert_eq!(replica.n_mentions(TEAM, Seq(0)).unwrap(), 1);
}
