//! Messages of gRPC as those of the service, and back.

use super::stubs::das_v1 as proto;
use crate::error::Refusal;
use crate::ids::Id;
use crate::online;
use crate::registry::Arm;
use crate::service::{
    Answered, Encode, EncodeAnswer, EncodeRequest, Entity, Items, ItemsAnswer, ItemsRequest,
    Lookup, LookupAnswer, LookupRequest, Method, Neighbours, NeighboursAnswer, NeighboursRequest,
    RequestedSide, Retrieve, RetrieveAnswer, RetrieveRequest, Upsert, UpsertAnswer, UpsertRequest,
};
use crate::vectors::Vectors;

/// A message that asks for a method.
pub(super) trait Ask<M: Method> {
    /// What it asks.
    fn ask(self) -> Result<M::Request, Refusal>;
}

/// An answer that becomes a message.
pub(super) trait Answer<A> {
    /// The message.
    fn answer(self) -> A;
}

impl Ask<Lookup> for proto::LookupRequest {
    fn ask(self) -> Result<LookupRequest, Refusal> {
        Ok(LookupRequest { side: side(self.side)?, ids: ids("ids", self.ids)?, user: None })
    }
}

impl Answer<proto::LookupAnswer> for LookupAnswer {
    fn answer(self) -> proto::LookupAnswer {
        let results = self.results.into_iter().map(|row| proto::Entity {
            id: Some(id_message(row.id)),
            codes: row.codes.unwrap_or_default(),
        });
        proto::LookupAnswer { answered: Some(answered(self.answered)), results: results.collect() }
    }
}

impl Ask<Encode> for proto::EncodeRequest {
    fn ask(self) -> Result<EncodeRequest, Refusal> {
        use proto::encode_request::Content;
        let (vectors, texts) = match self.content {
            None => (None, None),
            Some(Content::Vectors(rows)) => (Some(vectors(rows)?), None),
            Some(Content::Texts(texts)) => (None, Some(texts.texts)),
        };
        Ok(EncodeRequest { side: side(self.side)?, vectors, texts, user: None })
    }
}

impl Answer<proto::EncodeAnswer> for EncodeAnswer {
    fn answer(self) -> proto::EncodeAnswer {
        let codes = self.codes.into_iter().map(|codes| proto::Codes { codes }).collect();
        proto::EncodeAnswer { answered: Some(answered(self.answered)), codes }
    }
}

impl Ask<Upsert> for proto::UpsertRequest {
    fn ask(self) -> Result<UpsertRequest, Refusal> {
        use proto::upsert_request::Content;
        let (vectors, texts) = match self.content {
            None => (None, None),
            Some(Content::Vectors(rows)) => (Some(vectors(rows)?), None),
            Some(Content::Texts(texts)) => (None, Some(texts.texts)),
        };
        let ids = ids("ids", self.ids)?;
        Ok(UpsertRequest { side: side(self.side)?, ids, vectors, texts, user: None })
    }
}

impl Answer<proto::UpsertAnswer> for UpsertAnswer {
    fn answer(self) -> proto::UpsertAnswer {
        let results = self.results.into_iter().map(|row| proto::UpsertRow {
            id: Some(id_message(row.id)),
            codes: row.codes,
            status: match row.status {
                online::Status::Published => proto::Status::Published,
                online::Status::Known => proto::Status::Known,
                online::Status::New => proto::Status::New,
            } as i32,
        });
        proto::UpsertAnswer { answered: Some(answered(self.answered)), results: results.collect() }
    }
}

impl Ask<Items> for proto::ItemsRequest {
    fn ask(self) -> Result<ItemsRequest, Refusal> {
        let page = Some(self.page).filter(|page| !page.is_empty());
        let (side, limit) = (side(self.side)?, number(self.limit));
        Ok(ItemsRequest { side, prefix: self.prefix, limit, page, user: None })
    }
}

impl Answer<proto::ItemsAnswer> for ItemsAnswer {
    fn answer(self) -> proto::ItemsAnswer {
        proto::ItemsAnswer {
            answered: Some(answered(self.answered)),
            total: self.total as u64,
            items: self.items.into_iter().map(entity).collect(),
            next: self.next.unwrap_or_default(),
        }
    }
}

impl Ask<Neighbours> for proto::NeighboursRequest {
    fn ask(self) -> Result<NeighboursRequest, Refusal> {
        use proto::neighbours_request::Of;
        let (id, codes) = match self.of {
            None => (None, None),
            Some(Of::Id(of)) => (Some(id("id", 0, of)?), None),
            Some(Of::Codes(codes)) => (None, Some(codes.codes)),
        };
        let (side, limit) = (side(self.side)?, number(self.limit));
        Ok(NeighboursRequest { side, id, codes, limit, user: None })
    }
}

impl Answer<proto::NeighboursAnswer> for NeighboursAnswer {
    fn answer(self) -> proto::NeighboursAnswer {
        let neighbours = self.neighbours.into_iter().map(|neighbour| proto::Neighbour {
            id: Some(id_message(neighbour.id)),
            codes: neighbour.codes,
            shared: neighbour.shared as u32,
        });
        proto::NeighboursAnswer {
            answered: Some(answered(self.answered)),
            codes: self.codes,
            neighbours: neighbours.collect(),
        }
    }
}

impl Ask<Retrieve> for proto::RetrieveRequest {
    fn ask(self) -> Result<RetrieveRequest, Refusal> {
        let histories = self.histories.into_iter().map(|history| ids("histories", history.items));
        let histories = histories.collect::<Result<_, _>>()?;
        let (k, exclude_seen) = (number(self.k), self.exclude_seen);
        Ok(RetrieveRequest { histories, k, exclude_seen, user: None })
    }
}

impl Answer<proto::RetrieveAnswer> for RetrieveAnswer {
    fn answer(self) -> proto::RetrieveAnswer {
        let results = self.results.into_iter().zip(self.unknown).map(|(items, unknown)| {
            let items = items.into_iter().map(|item| proto::RetrievedItem {
                id: Some(id_message(item.id)),
                codes: item.codes,
                log_probability: item.log_probability,
            });
            let unknown = unknown.into_iter().map(id_message).collect();
            proto::Retrieved { items: items.collect(), unknown }
        });
        proto::RetrieveAnswer {
            answered: Some(answered(self.answered)),
            results: results.collect(),
        }
    }
}

fn side(side: i32) -> Result<RequestedSide, Refusal> {
    match proto::Side::try_from(side) {
        Ok(proto::Side::Item) => Ok(RequestedSide::Item),
        Ok(proto::Side::User) => Ok(RequestedSide::User),
        Err(_) => Err(Refusal::invalid(format!("`side`: expected ITEM or USER, got {side}"))),
    }
}

/// A number that says nothing where it is 0.
fn number(number: u32) -> Option<usize> {
    (number > 0).then_some(number as usize)
}

fn ids(field: &str, messages: Vec<proto::Id>) -> Result<Vec<Id>, Refusal> {
    messages.into_iter().enumerate().map(|(row, message)| id(field, row, message)).collect()
}

fn id(field: &str, row: usize, message: proto::Id) -> Result<Id, Refusal> {
    match message.id {
        Some(proto::id::Id::Number(number)) => Ok(Id::Int(number)),
        Some(proto::id::Id::Text(text)) => Ok(Id::Text(text)),
        None => Err(Refusal::invalid(format!("`{field}` row {row}: expected a number or a text"))),
    }
}

fn id_message(id: Id) -> proto::Id {
    let id = match id {
        Id::Int(number) => proto::id::Id::Number(number),
        Id::Text(text) => proto::id::Id::Text(text),
    };
    proto::Id { id: Some(id) }
}

fn vectors(rows: proto::Vectors) -> Result<Vectors, Refusal> {
    Vectors::new(rows.dim as usize, rows.values)
}

fn entity(entity: Entity) -> proto::Entity {
    proto::Entity { id: Some(id_message(entity.id)), codes: entity.codes }
}

fn answered(answered: Answered) -> proto::Answered {
    let arm = match answered.arm {
        Arm::Live => proto::Arm::Live,
        Arm::Second => proto::Arm::Second,
    };
    proto::Answered { version: answered.version, id_space: answered.id_space, arm: arm as i32 }
}
