//! What is read of an answer's JSON: the keys that mean something here, each with whatever value it has. A value of another
//! kind than is expected counts as none, and of a key that comes twice the last one counts.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// An object of an answer: the envelope, or what is in it.
#[derive(Debug, Default)]
pub(super) struct Object {
    code: Any,
    msg: Any,
    data: Any,
    room_uuid: Any,
    join_url: Any,
    host_url: Any,
    is_open: Any,
    occupancy: Any,
}

/// Any value, as far as it can mean something.
#[derive(Debug, Default)]
enum Any {
    /// Nothing, or nothing that means something: `null`, a fraction, a list.
    #[default]
    Nothing,
    Flag(bool),
    Number(i64),
    Text(String),
    Object(Box<Object>),
}

/// The keys that are read.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Code,
    Msg,
    Data,
    RoomUuid,
    JoinUrl,
    HostUrl,
    IsOpen,
    Occupancy,
    #[serde(other)]
    Other,
}

impl Object {
    /// The object that `body` is.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Any>(body).ok()?.object()
    }

    pub(super) fn code(&self) -> Option<i64> {
        self.code.number()
    }

    pub(super) fn msg(&self) -> Option<&str> {
        self.msg.text()
    }

    /// The object under `data`; an empty one where there is none.
    pub(super) fn into_data(self) -> Self {
        self.data.object().unwrap_or_default()
    }

    pub(super) fn room_uuid(&self) -> Option<&str> {
        self.room_uuid.text()
    }

    pub(super) fn join_url(&self) -> Option<&str> {
        self.join_url.text()
    }

    pub(super) fn host_url(&self) -> Option<&str> {
        self.host_url.text()
    }

    pub(super) fn is_open(&self) -> Option<bool> {
        match self.is_open {
            Any::Flag(flag) => Some(flag),
            Any::Nothing | Any::Number(_) | Any::Text(_) | Any::Object(_) => None,
        }
    }

    pub(super) fn occupancy(&self) -> Option<u32> {
        self.occupancy.number().and_then(|number| number.try_into().ok())
    }
}

impl Any {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Nothing | Self::Flag(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Flag(_) | Self::Number(_) | Self::Object(_) => None,
        }
    }

    fn object(self) -> Option<Object> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Nothing | Self::Flag(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Any;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<Any, E> {
        Ok(Any::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Any, E> {
        Ok(Any::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Any, E> {
        Ok(Any::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Any, E> {
        Ok(number.try_into().map_or(Any::Nothing, Any::Number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Any, E> {
        Ok(Any::Nothing)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Any, E> {
        Ok(Any::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Any, A::Error> {
        while list.next_element::<Any>()?.is_some() {}
        Ok(Any::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut object = Box::<Object>::default();
        while let Some(key) = map.next_key()? {
            let place = match key {
                Key::Code => &mut object.code,
                Key::Msg => &mut object.msg,
                Key::Data => &mut object.data,
                Key::RoomUuid => &mut object.room_uuid,
                Key::JoinUrl => &mut object.join_url,
                Key::HostUrl => &mut object.host_url,
                Key::IsOpen => &mut object.is_open,
                Key::Occupancy => &mut object.occupancy,
                Key::Other => {
                    // Read as the others are: an answer that is broken anywhere is no answer.
                    map.next_value::<Any>()?;
                    continue;
                }
            };
            *place = map.next_value()?;
        }
        Ok(Any::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_kind_counts_as_none() {
        let body = br#"{"extra": [{"code": 5}, 1e3], "code": 1.0, "msg": ["no"], "data": {"roomUuid": 7, "joinUrl": null,
            "hostUrl": {"code": 1}, "isOpen": "true", "occupancy": -1}}"#;
        let object = Object::read(body).unwrap();
        assert_eq!((object.code(), object.msg()), (None, None));
        let data = object.into_data();
        assert_eq!((data.room_uuid(), data.join_url(), data.host_url()), (None, None, None));
        assert_eq!((data.is_open(), data.occupancy()), (None, None));
        for number in ["4294967296", "18446744073709551615", "1e2", "true"] {
            let body = format!("{{\"occupancy\": {number}}}");
            assert_eq!(Object::read(body.as_bytes()).unwrap().occupancy(), None, "{number}");
        }
    }

    #[test]
    fn only_an_object_is_read_and_only_a_whole_one() {
        for body in
            ["", "null", "[0, \"Success\", {}]", "\"code\"", "{\"code\": 0", "{\"code\": 0} x", "{code: 0}"]
        {
            assert!(Object::read(body.as_bytes()).is_none(), "{body}");
        }
        let list = br#"{"code": 0, "data": ["id", "https://house.example/id"]}"#;
        assert!(Object::read(list).unwrap().into_data().room_uuid().is_none());
    }

    #[test]
    fn an_answer_that_is_broken_anywhere_is_none() {
        for body in [r#"{"code": 0, "extra": 1e999}"#, r#"{"code": 0, "extra": ["\ud800"]}"#] {
            assert!(Object::read(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_one_counts() {
        let twice =
            Object::read(br#"{"code": 0, "msg": "a\u00e9", "code": 5, "data": {}, "data": 1}"#).unwrap();
        assert_eq!((twice.code(), twice.msg()), (Some(5), Some("aé")));
        assert!(twice.into_data().is_open().is_none());
    }
}
