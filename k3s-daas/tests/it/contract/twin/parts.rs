//! A format that a Move test reads fast: byte by byte is what its VM is slow at.
//!
//! As BCS, but every string of bytes, every text and every array of 32 or 64 bytes stands by itself, in order,
//! behind one first part that has all the rest.

use serde::ser::{self, Serialize};

/// The parts of a value.
pub(super) fn parts(value: &impl Serialize) -> Vec<Vec<u8>> {
    let mut writer = Writer {
        parts: vec![Vec::new()],
    };
    value.serialize(&mut writer).unwrap();
    writer.parts
}

struct Writer {
    parts: Vec<Vec<u8>>,
}

impl Writer {
    fn number(&mut self, bytes: &[u8]) {
        self.parts[0].extend(bytes);
    }

    /// A length or a variant, as ULEB128.
    fn length(&mut self, length: usize) {
        let mut left = length;
        while left > 0x7f {
            self.number(&[u8::try_from(left & 0x7f).unwrap() | 0x80]);
            left >>= 7;
        }
        self.number(&[u8::try_from(left).unwrap()]);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unknown(String);

impl ser::Error for Unknown {
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => { $(
        fn $method(self, value: $type) -> Result<(), Unknown> {
            self.number(&value.to_le_bytes());
            Ok(())
        }
    )+ };
}

macro_rules! never {
    ($($method:ident: $type:ty),+) => { $(
        fn $method(self, _: $type) -> Result<(), Unknown> {
            Err(Unknown(stringify!($method).to_owned()))
        }
    )+ };
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Unknown;
    type SerializeSeq = Self;
    type SerializeTuple = Tuple<'a>;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), Unknown>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    never!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_f32: f32, serialize_f64: f64, serialize_char: char
    );

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unknown> {
        self.number(&[u8::from(value)]);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Result<(), Unknown> {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Unknown> {
        self.parts.push(bytes.to_vec());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unknown> {
        self.serialize_bool(false)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        self.number(&[1]);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unknown> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unknown> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Unknown> {
        self.length(index as usize);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        self.length(index as usize);
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Unknown> {
        self.length(length.unwrap());
        Ok(self)
    }

    fn serialize_tuple(self, length: usize) -> Result<Tuple<'a>, Unknown> {
        let begin = self.parts[0].len();
        Ok(Tuple {
            writer: self,
            begin,
            length,
        })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unknown> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unknown> {
        self.length(index as usize);
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unknown> {
        Err(Unknown("a map".to_owned()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unknown> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unknown> {
        self.length(index as usize);
        Ok(self)
    }
}

/// Something of several elements; an array of bytes if it is 32 or 64 of one byte each.
struct Tuple<'a> {
    writer: &'a mut Writer,
    begin: usize,
    length: usize,
}

impl ser::SerializeTuple for Tuple<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Unknown> {
        let numbers = &mut self.writer.parts[0];
        if matches!(self.length, 32 | 64) {
            assert_eq!(numbers.len() - self.begin, self.length, "no array of bytes");
            let array = numbers.split_off(self.begin);
            self.writer.parts.push(array);
        }
        Ok(())
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident),+) => { $(
        impl ser::$trait for &mut Writer {
            type Ok = ();
            type Error = Unknown;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Unknown> {
                Ok(())
            }
        }
    )+ };
}

elements!(
    SerializeSeq::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),+) => { $(
        impl ser::$trait for &mut Writer {
            type Ok = ();
            type Error = Unknown;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Unknown> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Unknown> {
                Ok(())
            }
        }
    )+ };
}

fields!(SerializeStruct, SerializeStructVariant);
