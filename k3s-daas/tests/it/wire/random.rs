//! Any value of any type that can be read: a deserialiser that makes it up.

use serde::de::{self, DeserializeOwned, IntoDeserializer as _, Visitor};

/// A value of `T` made from a seed.
///
/// Digests and keys take one length only and refuse the others, so it may need more than one go.
pub(super) fn random<T: DeserializeOwned>(seed: u64) -> T {
    let mut random = Random(seed);
    (0..10_000)
        .find_map(|_| T::deserialize(&mut random).ok())
        .expect("one of many has the right lengths")
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Mostly short, sometimes past one byte of length.
    fn length(&mut self) -> usize {
        let roll = self.next();
        let bound = if roll.is_multiple_of(16) { 300 } else { 5 };
        usize::try_from((roll >> 8) % bound).unwrap()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.next() % 8 {
            0..4 => 32,
            4 => 64,
            _ => self.length(),
        };
        (0..length).map(|_| self.byte()).collect()
    }

    fn number(&mut self) -> u64 {
        match self.next() % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => self.next() % 300,
            _ => self.next(),
        }
    }
}

type Error = de::value::Error;

macro_rules! numbers {
    ($($name:ident $visit:ident $type:ty;)+) => { $(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let bytes = self.number().to_le_bytes();
            const SIZE: usize = std::mem::size_of::<$type>();
            visitor.$visit(<$type>::from_le_bytes(bytes[..SIZE].try_into().unwrap()))
        }
    )+ };
}

impl<'de> de::Deserializer<'de> for &mut Random {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("nothing on the wire describes itself"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.next().is_multiple_of(2);
        visitor.visit_bool(value)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = self.length();
        let bytes: Vec<u8> = (0..length).map(|_| self.byte()).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        visitor.visit_string(text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.bytes();
        visitor.visit_byte_buf(bytes)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = self.length().min(6);
        visitor.visit_seq(Items(self, length))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self, length))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self, fields.len()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let index = self.next() % variants.len() as u64;
        visitor.visit_enum(Variant(self, u32::try_from(index).unwrap()))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char option unit unit_struct tuple_struct map
        identifier ignored_any
    }
}

struct Items<'a>(&'a mut Random, usize);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.1 == 0 {
            return Ok(None);
        }
        self.1 -= 1;
        seed.deserialize(&mut *self.0).map(Some)
    }
}

struct Variant<'a>(&'a mut Random, u32);

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index: de::value::U32Deserializer<Error> = self.1.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self.0, len))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self.0, fields.len()))
    }
}
