#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_daas_fuzz::targets::credential::run(data));
