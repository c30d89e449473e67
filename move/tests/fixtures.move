/// Written by ci/move/fixtures.mjs, which see: what the tests send, signed.
#[test_only]
module k3s_daas::fixtures;

use k3s_daas::calls::{Self, Anchor, Answer, Assignment, Command, End};

public fun cluster(): address {
    @0xd726ecf6f7036ee3557cd6c7b93a49b231070e8eecada9cfa157e40e3f02e5d3
}

public fun cap(): address { @0x63d9a65220318469fb169034d8a011eae3f014fed2a1f8c006183e2ece3c3975 }

public fun token(): address { @0xdba72804cc9504a82bbaa13ed4a83a0e2c6219d7e45125cf57fd10cbab957a97 }

public fun alpha(): address { @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05 }

public fun beta(): address { @0x1611edd9a9d42dbcd9ae773ffa22be0f6017b00590959dd5c767e4efcd34cd0b }

public fun alpha_key(): vector<u8> {
    x"43a72e714401762df66b68c26dfbdf2682aaec9f2474eca4613e424a0fbafd3c"
}

public fun beta_key(): vector<u8> {
    x"66be7e332c7a453332bd9d0a7f7db055f5c5ef1a06ada66d98b39fb6810c473a"
}

public fun session_key(): vector<u8> {
    x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1"
}

public fun other_key(): vector<u8> {
    x"8a875fff1eb38451577acd5afee405456568dd7c89e090863a0557bc7af49f17"
}

public fun now_ms(): u64 { 1800000000000 }

public fun chain(): address { @0xc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 }

public fun read(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"3cb4d367ef9e022c1d458f9d1fc21bda9adea68d2fb5bbcf77216b1a54f1300f6046841748232c80ea295ca67e9de22b4e8d6f6b920acc9cd4adf5ae815a2506",
        x"5c13c88154e0196b9c46bfc567627edb0232fcb8a10919bd2659b85e9552090a9b51913c3d046abc096154f7c2a95a00733eef5f0a5b40483854d3f51baf780c",
    )
}

public fun write(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"55761eb5db247b2986e206c6ccb6475240feda5fe5b02df3f5cacd275c800ded93fdded8d51357b460e2dc1ddcd74d85cdf19cdb334e77d0b8733cae88180f08",
        x"849e94dbd5d1d2fca1bb98c2037c7c1501f67017d63922f9eb6a525c9c155e89541402f1c728f0dabe8f992c10f705f6f13835d637b8ad350e53fed7b8267902",
    )
}

public fun create(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000003",
        b"POST",
        b"/api/v1/namespaces/default/pods",
        1,
        b"fieldManager=kubectl",
        b"",
        0,
        vector[b"accept", b"content-type", b"if-match", b"if-none-match", b"user-agent"],
        vector[b"application/json", b"application/json", b"1", b"2", b"kubectl/v1.35"],
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        300,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        x"1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d",
        x"b5c9b9c054b9cd6f6b0d096551549bf795c8d4e14f5ca9feaf2861b21e2c5f95",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"70655af0e071ca4c6d0412b424e9b20c7be81fce4a6fa8be40010c193e83d9f69b017bc2d4e739fad47935964118d15b14de3ee66908c839c2558a7aa1770205",
        x"1c807ed59190e70d95e8f4d74128ffc3f0ac984cb89b1495af36acf6b280d1a130d1715a6cc90b9eb0be5b105c18880b853dee539647cd40112f9995d7e3b90c",
    )
}

public fun exec(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000004",
        b"GET",
        b"/api/v1/namespaces/default/pods/web/exec",
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        8192,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        4,
        1800000060000,
        b"",
        x"1ca7d277424e4ab9691b7cadfb45c454eb37b065f34260b10f5c7f5e25cc9576",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"1a64b7c22e8576938465767512f42ece84b113a21e1347551d38620660bb0d4bb211588692abd6fc3c234822565ffb987cb66c43ab80f162f632add79b5b770a",
        x"cdd406e0da65fc25b38a6d7557bbbc78472f022df1a8c84103e5dde53324ab126c355d27421082ef436afd2be92dc845881c504cdd77efe03e88b22f724e4b02",
    )
}

public fun discovery(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000005",
        b"GET",
        b"/version",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        1,
        1800000060000,
        b"",
        x"a4d2d104dbb9f0681ba14bfed79df5f9accb794aabe1b953ac989b958d37695d",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"637bf3f2ede39d6e1bcd3dbbf01b1fcef7892f26a524305ccf7dd8900167ecefb68a78c3a405a5cfcea087f181437cee05a267f7bbae7e8e4e59227d01232600",
        x"fd4ec71392f8aa90949c9cecea06856817c65866672824928a126645c82aac6aa3f2772d121e736f7286d666a5d144da648e757efba3cda43223d0e4762f9207",
    )
}

public fun sealed_inline(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000006",
        b"PUT",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        3,
        vector::tabulate!(16000, |_| 0x77),
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        3,
        1800000060000,
        b"",
        x"2ffe73f45e0ca12363d49e80d1949797001c134f80222558303deeb2f555cc16",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"546944d31a2e780fa89e2057dd8bb7a8a5e24b4c3c4313b2b4efe5d37ec7ef18e533ec9a00cf2915b48c0f9e1268bc6a6c20d185e8db957353d04502cbc10c05",
        x"286a0528d046a5421dd50ee6d96a1f37741dd9cd4f55f3db8dc2183b67403dad5624f178ed0706ab393a59c4be01a7802ed88f1077adc6d4e3b1f8b3b6378b0e",
    )
}

public fun largest(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000007",
        b"PUT",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        3145728,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"645145c29c233af011460eca76b5f950ab1bf67cf3c8910d393f0e1761880485",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"b800e5292214017fe743453b2e558c495cc140241ff8e92933bdcc26548cca416fe7e4e104cad180e8c978a2f9827ef9d50d3ccbb8723dc70245b9c364bc9105",
        x"95a22233419c54a064f0e0a008f3f1fb5c5f9df5af6ce126fa473314f2322bd854803a969dfb1dff2f852dc08f1e920e2d44e24e82f1c76480017f106d8f5504",
    )
}

public fun soonest(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000008",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000000001,
        b"",
        x"8ad363c1638166347cc2c673b2de537a234e75db48dffc1bc0bdfde78942e7a7",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"96310576c66cb177c48b3379aef9f3b5e72fb091c9da2d640a99029a2955ec77a743f2cd1de00aef52cdb9aac92580db2f282036fdf52a9817f1f3b5dc2b200a",
        x"893556d3c0d1f630bdae8228d0e566cf5da65d98f0077d44b3829af6354bc23fe86a1b3485c7773151cc485a81e5580434cb20b4e2ea6cb1386002c5b2c59308",
    )
}

public fun latest(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000009",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800003600000,
        b"",
        x"50b18af81606d506ab1b64405152f0529859c9951984b436cd9cf4fa9ddbd7f4",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"751b0da6b26d818e0c98d1b67212cbe12458ab7c49301186593fd2bf92f4db55a224e8fa563e5c853db75f63c145c8e7ccb98e8602a3bdc31708870e9f393c00",
        x"ff79bebfd03960eb20d7b6b54113188796a8120c20e1490852f48bf8a7ff2a0893b8c1ec24c0907964e8b23c7237f9d4bc1c5591cd215f28316d131a5ffb730e",
    )
}

public fun of_bad_method(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"HEAD",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"98285b827c5a5eed6b540c257bfc2211a6ab519f5657fa710e9d42a979c8a270",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"80c142a609a3bd410b299d5d55d1905802aad94a6ad23493b7603c13dc35ff362e679d1004399e179a2cce243f03413e0703cd3df516fbd3ffaa129f37f4ce01",
        x"aac8c6306c022011235aa77244b6d3dfdce0e464dd0c2c3cc478e3507b39286c84e2dd564554f58e9e78760e883a98cb125516df69d10808109cb78499f5bf01",
    )
}

public fun of_lower_method(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"get",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"4d73794f4d101598b5c31622677ffad20931f171689ac11a1c198216c095596e",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"0180e823826ba75c594d74cd6625f119657f40e62cb845b03c829effeb612dbd9946d97d16b0fc1a70bd319943c810f25b7fb793d2f48b5e9b853d7e3599960c",
        x"44a835453a12f45ac505ffda1512a8ab124fc78c0963efef232977cf3ececa9692ae473ff154531fd0d48ffb827ea078fc4f7edba2ae0f2c49b4656a60a9d80d",
    )
}

public fun of_no_text(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        x"2ffffe",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"382ba863102ed8038f0910b3851d86a7af78b7a3442451616e956755ff4682dc",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"1ee628095255ab56b298491ad9f597d4c2688059f87ec99e1c4201985b3cd41eafa6ed92bf8a90577f7927ab08a80d6d5a43be0ba3d2b0312439ff5ee03f5207",
        x"eef8df7cbb6a73186d78b5cbe3f6d7c35f888b008ecc8daf2c6af603ee2595a36c468acffc18d94428bbaa9d716341403907edfdd83ec25225d9093c5e23e500",
    )
}

public fun of_bad_path(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1//pods",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"89e7ce2c74dbb0f3bf9327e912ffa9d6414ffcfddda61f37c17e8abf58cf4358",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"66cf6b40f557c5b369c6a84d3a55a77d4f48ae71ddd02fd9d610fc936f60615b6734ead6d152521af86bf6fb918e3751409f31a5db77c68ab7f610ed38b3c704",
        x"a9e58c57f6ad1950934b952662c9f6059570e565864f6f641c5017cfda652710028fd696d20f5c7ca5b21caad8f7589ebffe3c1af37bd21982e20083bc91e508",
    )
}

public fun of_bad_query(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        1,
        b"watch=1&watch=1",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"38de94447fe833a353a354cb5ae2434eacb41efde08e96523fe1253f4614a83c",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"0bff12ce3ab042ecbfd87f8a104780e57cdabc34c9c2f146facc6e7c6949b0cd0355b5bb9311568b85f85cfb4aa95868243362cdd8c835c9026699d4d4ea3a02",
        x"e51f0f5cc2d44c683dc9aeaca64bbe3cd09335a2285d7f313ac8443cfac5415018c512fdb04e97f42de865b0515dfc4314301616eef2a2e0e9a67eab919def0b",
    )
}

public fun of_bad_id(): Command {
    calls::command(
        b"01890000-0000-4000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"695e0c66c89fcf8475ac0f0e102e93b92ce458bbd12a021ee63e04dab9c06507",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"91655d21112a3fdb162a52c58b67b34deca64cea164b578c2cb12f052896e6ba763ab3411ada9ab61022d05fb73fe3b9ff6b8b4a748d03c5e581bc97ed474b0e",
        x"44612a54942c49fc2fb4041d6ea4adc1b5ea56e1520ef9789e895b5fed30981d68fa1fc2f9fd00dd7c9ddccaedb5a138f304dcc901f7ece01a5da5398752c207",
    )
}

public fun of_long_id(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"618ceffac01f20a1df1d89ca30d1de359fa21583b8d8da6242ae281494ed2100",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"ffdc35a6c226c894a0bb6c88ccf481e789e1857b6705d34d17eb678960f74512b00574a1dc5c3bda192b2939df9216c55a23d38669d7cd382215cd902cd3e408",
        x"1d266ae48cc84edcd6b724eb3e5cea0edff8b6305241f048879ea7dc051132734457ed11b7293e5f180464c19aa85eb7163a39f096fad3dcb48f5164430d8900",
    )
}

public fun of_no_header_value(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[b"accept"],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"6add10ed18f65eea0888748e7363ec81594284d66bbf41c61c82ef247153f0cc",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"adbc32d0685b05ce1977f0fe4c909edbfb5f34c2164845eeb690d5e79ba1cccb5b743e66b4a09a6161eb73295406e6548d8e4f89951dcd21a480d3541cefe506",
        x"b76d3a020d1bb05273121f84c2007d4b77e65290cfdddd7dabad435163be240bab3d0ac08f39c031b50a709fe96362853cfab2103c450afbf5e1b2fd1c7bce0e",
    )
}

public fun of_bad_header(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[b"authorization"],
        vector[b"Bearer x"],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"fc802dccb4557740633bd0bcee6bc3e1300691c0fc86c0fcd2302da0f622cc01",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"c0091c68f55f2a7868d35f3136fbccb7bd5f5e74cbcbde8d4db8f132b94f28d3d6c840a2b26d1e61704920328f1c832e97f5b5b14ca9ca01d4b997d10761890d",
        x"6c1e450866f66a2452024d21e4d382eed3744eb0fb245c1ceffe1bed1373a299b4462f8cb9b52fde6f00c61720740680ef26be8a8e027eb3c0618c691d650a0a",
    )
}

public fun of_bad_query_kind(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        3,
        b"a=1",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"7c5c3b822c5a0cf04b9f091f55d682520e645754a71c7f700d05fc5b167387ba",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"dda4cd56a064db18509ee5d73fcb8edfa79e1194fbcf23a165e19803307beb0e02276e911f82e503f940bbfbedd708b7ccf9251bcc4a346eb4c5dd6217a2000b",
        x"e5a15de3ee8910ad31127fef1dd7914d7c8b82dbff7e757fc5b934438e9630ed8de5fe63b788716350d0cb211cb76dd08146d78c2d2bd8664f1781bcfa758a03",
    )
}

public fun of_empty_plain_query(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        1,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"647566b4b02352fb4d9696964744a79fc54ff7436e58c3d738ce5e8748561ac0",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"3d91aa44d00c3a9cec38db3bf03b281a9233ea148428c92893f2be49ac14b42ec92b2bafc2b97079831eaf507a739af759de23a22d8214fde4dd602e2a90b10b",
        x"d8ddc40bc7f6bd83e182c7ee9e5f6ca610152725908cc598a38dc7bce374fc4f88ae7baa61238f6f7a65efdeaadea6a73e69d42cba92e9a7762c05ecee76af0a",
    )
}

public fun of_bytes_without_kind(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"a=1",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"1f87568c82c45362de618de092a0f033ccfbb8415a0f99bf3470de196e258502",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"f618366c50ac0b1cc611e4b7a9b0728a64f80a08e06ef0767272beb955cf8c4dbb86a127aa0f5422ffbb5d4b75952f08930b3d3f639555c0afe5a11804c8e805",
        x"f7c537574d36c242b28756105bb370bfb0e108c81973852384defca682f5091fb52535458fa3286f939977f8714120818deb847ac1d3d142d665d2ba0285600d",
    )
}

public fun of_query_with_hash(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        1,
        b"a=1",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"8fa498b8378d0235923312de1138c2a883d8c676e1169a862e392ca4544e62da",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"a11199b0dab17866ec040d57a593a267f53811b1c91d3e5dd6c99b4322a22c9c27affa3b13af0ff53b15df7616c16130d0b2f44fe06439e7f003368940863a09",
        x"262f1403e470b2f314235ed9241b2b4b4b29534387240c49289472dce18dfb2c4972cadd183ce1e3163a1b1dd796ec498c2cad080b8e6ef28208d97edef1b10e",
    )
}

public fun of_query_with_length(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        1,
        b"a=1",
        b"",
        3,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"0a7c26135e097b8912c4e20a690ddf22037ead11e7362690a77b257700f4a418",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"64a71e637c4bc390868b7203fdd484b0b078f9abd71d02741bc5ca89ac777f6154a48de7854768b4ee090ff11dc560fb7c9c42835043d92e28fc64c52d6f2a0e",
        x"1d593526c3190e677fb31c3906d8e0602bd67eaf5a65a28d04b9a0d214b060ecaabb014034f0d8f317dd1b48d2088e976af6f5f19d41e8e4b689d3c58457b90e",
    )
}

public fun of_hidden_query(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        300,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"7cad3a04ad8fd07072e383db2532c4f582c29d38430f965c429175a64567555c",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"44fecb9682132c6c437216bbc31a861ba66bf99c4f5972f0aa99abd437125d5809ef80c58099bf69648f1f6bf5b35d898ebffbad785df3dcf9a64249c0b9bd07",
        x"922c53ee5180f45c20b59e4dadafa94aaba0bca3f610e81e24af990dad4069585ee8b5af6e99262b9154de0e23d3840181ac59275c807f748ea771f844e59b0b",
    )
}

public fun of_long_hidden_query(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web/exec",
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        8193,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"8c1e9fcef20862a4d52b7cc113569447690bf14f549d76cc0947f8b486bb196c",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"087f70d680db50e5ca8a9e1977a9fb06dfea44957c985864833db5e2e4d1be1a7f65d9416a51984270126c7bf084ad71190852021940f9fa814bcfab313ab306",
        x"11abb79e74ca618b9613ba7e7c7754d7778ae943865f3d44d5d9c8c5ed17d7636622dafa216a9e91de4f64abe0c5853b655f81260d027a6517b635ad634cdd05",
    )
}

public fun of_short_query_hash(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web/exec",
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        300,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"1d4989600e3c38ddae12ceb418a04411ca68bd9443e4dc486c6f40414e65e33b",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"dc443ffbb7668eed8e26a444479212b0b9ec1be7b1d7a29c745d9eec947dcb75a9a3035e951e7741021f122454062a2a639ea767be921b565cf6a95a0b4a2a03",
        x"004cbcc1cd98a3fa1813500664e3921b7d084342f5a373748fd201bf6d62cbcdf7305f8685b512507493a65a78238401a09a0c2329f4a7f3a4b8c86cca271404",
    )
}

public fun of_empty_hidden_query(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web/exec",
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"b1dd766fc7ad0a62381ee1ca17ca89803d0089dc1887c5f486f0414b968284df",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"a0364c9ac7268189e1bceb8f96541c9776344c633b376fd86141d4dcb3a14bc5d2414c41fd120a194ffcff5e3ad283a756fa49be74081f1a31c79c0e7d2f7407",
        x"dc6cb26c95e8e47dc715c0665dbe5c7dd485bc325d46a508869e441ec9ff2d4cee81d80c1febac7886e7f5b35b78958037ca7d8f8c63fea652da00a13532a504",
    )
}

public fun of_hidden_query_with_bytes(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web/exec",
        2,
        b"x",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        300,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"21398a23d8ae7eb6076948ed3039768e764dc37b3406a8d3874c1ed331ec0b78",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"bd25c5d9074fc309603b1b2c7f54592482a4053d3967550ad3a527b0b7f2bb0aa74c1df1b72a8e0a5ff73b97b335991d11ef9a5dbfaad7ed8ea2647741a38f06",
        x"1e4663d5a31b26c8cbfda4ba6b889783fee15739968667a4c2046a400738d58bcfe5e312eb6bd6690036dc84a2e327184ce3367d1acda0c334ae8f0d08311c09",
    )
}

public fun of_plain_payload(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        1,
        b"{}",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"cf1d58b105bc3a798a9cf4f9275be335ff8b3038882934a436498535f48be0f7",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"d4d671c81e508a768347f7368368640726a4098f57b2b6adfe319c94fa94d061b767e77b0698faa13ab7509b880f62a0c587b8de719a2bbc914364bca0f72e07",
        x"405c5631f0b343e2f264e8328b1aa15372be4a8527b78b134ac7f8b9e73e2cb0d1755298ca2761836f36a8d46fa17860235936c21100350b8441681c86268c0e",
    )
}

public fun of_unknown_payload_kind(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        4,
        b"{}",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"c9edb8e5fb5d1eafb2d5c6d8ebf4abe7cc68de0d1f2c6528692249a5cdc5f73a",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"3f744fada79a0ad9d02e218a1716fb365edcd616ef51f16b7b9848a29b748a238e164a44540120d50558394af68dc6f1c349cf9470d2682141551afbd2d0c209",
        x"6a9f844fce4eb186bdc60a4a1c44d221ebd375dbe07b0da666e77e3c7a60d208ddb732af33d526c68dd721879dbc8a48f365eea34e055224db9505a5b9ebee01",
    )
}

public fun of_empty_sealed_payload(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        3,
        b"",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"975e6c0148f595542d9b2306a33dc5f2b8803a0103ce27ab5c55a0121807a3e1",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"944223b5605552249a50040b8debe1bfadc2bbcf51b21b29b9f842f505b1bb38f23b515d9682e695d25f62a1c1605ca4f1460a6ec0e60460f9706e6ab725780b",
        x"818417c1944ee076d13c6b7f46dfdb4e037fae4ed12e283d286fc76e9e15114e9c9db64db5f24bb2aacc0f11359f2a116326d38361d43ef8c7d644c3b110da08",
    )
}

public fun of_payload_with_hash(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        3,
        b"x",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"55269e502e6d1b05673d182587cf1813edcad0aafeae4eb95e2fcb932ab378c5",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"1b94b0dbdffdcc74a2a74fdb6294505f1bc05cc37f5625433453c1461031d0ebb8e1f12cdb4ddf2708e16046ccc2aac2c707ed4a83f0bad2f0ea10217eb3bc09",
        x"9a9bf91ed8c49045d78a952f888077d9520960b2478e04ecfe258dd13e90b3f247eca9498802d67adf3a19a713097de2c158d3ac0d316251132939b8c9ddb805",
    )
}

public fun of_short_payload_hash(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        300,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"74b47146b9d39f939ea3bb160d08bcde987e821259ceaf06c46e5f71c22dc564",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"b219c974120d60ae55519e5ff4028757b432764c1d8eae064351c7827b40a8102e91e27625c189f8561aecd8d0eada6aa537c70574a89be440b765adbfabde02",
        x"053e8d8d15d1df38a5ed094008f47df7d1d4eda5d29330db20d73d2f9b0a4104924afe91942ce8c5f02b37b1b0353c8e5d5f3851091de6841470ed1fb51ee303",
    )
}

public fun of_empty_payload(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"744c1da203d467769459282592720ff857ea10b74fd18ba872872cb73c9b6a56",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"1057610005ce51440d65e0ddf27692fd1f7a6afccf854a16f1673344e66588adf839091344e4d064e80a64f83659d84c528f5e978cadef32673af9ffcb576406",
        x"b1ae65466aeb350581b4fc67f5bc0ed1ad7bde3797ed802e725c5d8a6ea904a5e3406c644c50410ae1c1a3ac18cd9f0f8b174d47051438aea8cb6369e2dcab02",
    )
}

public fun of_short_reply_key(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"cb29a1521052176b7471001b68103d8736e15ef71d71cb282754526121f6ad8f",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"fa797d04dddfee7e4347e075bb1d808725435cd10d787ebf582a30dd1ad06eac9e8e605d0d73b4c2aeaf66b7f338a8bb55b89a8a657eaf7d0201b755fde83b0a",
        x"8be303bda89d8395e882f14ba2758d50a05093578e41a88a90920f1d4efca2c1a3dd6805384d50e6a0fd33f29b428561eda36d5239f64d8dd82a70d0b9a72409",
    )
}

public fun of_long_reply_key(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"07203d965f2adb6e9e46feaf0da2ddb5bab3bfe646392d3a1d08191e708f7b04",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"22da3dfb8b11ac0e1777f4377aef99c92235ac075b9e31f13bef167301cb3601ecdb0e266d164cda219c59f4c9fa4f9654f65f0f434ef9aff83a26c643acec07",
        x"93ff78ce28cf7fbc46dc6ce13a0a0d736e7eb1445969da124595d3b96c4585fdce4334ce77ca58aec6605ad03ea9cabb862859cbb87b33fa8a83c4a7c2c24402",
    )
}

public fun of_short_credential_id(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        x"1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d",
        x"23c84fddf3a87ab7a6b83ee547dd07617db8c6a58d1716c802e1e2eb34ede950",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"02fee7ed137a300b751de92d7f5f44d243640db26135beea22cd9aead21bb3e50b01286fe2e977bedb748c22f45d4441cc8732f4539f65129b52ceadee2ebc03",
        x"01cd4a832ba3549dd2e230a4c1717c016de6ee295c01e4bb248c3af748edf9280a61abf439e23a5af41d1f1da895f4730682dfa80e82f213005099ab6756bc0c",
    )
}

public fun of_long_credential_id(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        x"1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d",
        x"a657d743f8d68ad44981184b107b30b5caaffdc2b49b99d22492ab29a57d188d",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"f2fe3eb9b7af59daf35892d0ca98bd3b70088f5ae96c2a6a3e4c0a16a792310e3fb7aa456b1e1b383af5e46f66a6d6c33373ce5384189d1c0e10a250e174e304",
        x"ea0fda4c253bb29a2e62fba25f85972bd9f236b1a57e4d4def061fabf7a8b0dae77db444b6175f1a8f94e2dfb3ea9b9cfb6ee54b556c4f063ebc20199fcfa900",
    )
}

public fun of_other_namespace(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/kube-system/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000060000,
        b"",
        x"757a968e88900c33521db142e25f93ff3fc0cbfbab8dae3f2f28e5dd0b22b254",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"bf6a2139d3a3505038733cadb933afac1adcc161c5a023bddfbc052a62b7d0830b4bca661e7f8711ec99b2e98a24e45f83ab8bd64091bfa8db03ff648795ec00",
        x"137e5b3d2a068799c61f2159f597728f5e70da00f93da84ef879b1a9c72526db89b3b489e421d69bf4d810cba56c53af3a233e3cdcb1e1bf4c2365939095160d",
    )
}

public fun of_past_deadline(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800000000000,
        b"",
        x"88a815dbe3726745d6ae9edd20160a753405d7a5e74c6086a114f337b7d09a12",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"689594655b1c28fe3a0d1201c48279c933c318a35f7d91c75bc5175911206bf72c82ca2f3b6d893d172a3fe1b72269348ab9af4c6a65ef48909199c5661b1e07",
        x"265be749c5a16f66a2a1cabb924c6010f6a349118e52307e6b1f72f1132b9892945814e0c93acb33cc8b3dfac4d66db4da457a9d1b48c28ad87d002d1cadf803",
    )
}

public fun of_far_deadline(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        2,
        1800003600001,
        b"",
        x"601dfea32d5913c57e4fc1ea8713c0e354968007214f2b91c5ce53971474e1eb",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"6ee488cc9e7cecc5d309377797322db426df372e43e364d8255306ecd6a3808d13e31d0d4a89e1470368b17555547529461bc7536f0c706539e1de53862bb904",
        x"0be0c2508255e6573d5b661457a22648d6e205cb774e05dc534efb10ee1fa1e93212d8986cb1132bd4f286a29941e8c83c80c7c9cbd694fbe22d2ce92eb3ef0c",
    )
}

public fun of_long_sealed_payload(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        3,
        vector::tabulate!(16001, |_| 0x77),
        b"",
        0,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"a0722b7370d397895a7654cf14a00f452ddad1a289e844eba103862abdaaf494",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"871b8af17e4aea22378f19f5c6430914beb2bec042b1a9a6bfa90bfbc06aacd4b804851df809e1189d6b7af42e8e5cf44e087a4192f2d6104fe502222c3c1504",
        x"01ffcd3a50954c0926f42b7934d0574a305ade06954cad92940800a94bdec8feee90ee5254cf650867333f57973d5af21bf5be51ec2aca4011fe67f8aa403b00",
    )
}

public fun of_large_payload(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000002",
        b"DELETE",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        2,
        b"",
        b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        3145729,
        b"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        2,
        1800000060000,
        b"",
        x"9d1932c28555f095731edc5af115aba007a91e73cb08e2a3e868ec688826a359",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"f3bb6d6d66bb80de5c04763853af1b0c5a826268f72aaab373a4cca99a2156d384299ab691d1771f0d9e6c029a6ad41b2ddebc52dab7be5c2b928c4ee2807e07",
        x"c809d2d5af1486c2f499ab795c992efeacd1ccf6cdb99f8dd9ccd987a0de4ac5c9fa3efbf3399b5c731f989c72628a96468bb51e0ed1425b48a62430153fec06",
    )
}

public fun of_priority_0(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        0,
        1800000060000,
        b"",
        x"b9788a408c8b76785136e3e7370b9e87bce7f5feb42f6b6529ec1db3ace70174",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"ff3ef4f2877a97fc5fd00e13a14a052a57f5179643ab6a730dd61e8dac829bbd38d3d8a3071cdfb47542ecb9b2d6c330fca99938acfb50f3ec9f79fe08408f01",
        x"db0d030f63ac1ff7e56cd145690a9fb42ebbc6eb9aaa570ecd0f9ad27a186dfa87a8e129a90895a0fb7c883bd6cf402404c19a5a30250255b6ae176a41322707",
    )
}

public fun of_priority_5(): Command {
    calls::command(
        b"01890000-0000-7000-8000-000000000001",
        b"GET",
        b"/api/v1/namespaces/default/pods/web",
        0,
        b"",
        b"",
        0,
        vector[],
        vector[],
        0,
        b"",
        b"",
        0,
        b"",
        5,
        1800000060000,
        b"",
        x"4d36de9d9ee528bdd70c147951654753f8999ffe1c1b4586681f1e396035e92e",
        x"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
        x"5d3d3153edd63e7fd693e0672b46531645ff44c7f90b65feb5677b9e71f1a1acf6905d1be89bf8b7695dc07b5ce502a233dc5068fdd5cbeaf86b6721bd38ee07",
        x"8038e062be65b7da6caa40fdebb09ff88c49e70c1a9a6b55f5ba25356ee347baf0ab0f8903f363f81eb0cf3d7f5baa555692602a16dcaff27ba8acce0bfc9b0c",
    )
}

public fun ok(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"b85479b4a95f99f96617ca5d8b4aeb25ff3c547e707c0866b8d8276577b83ad824522fe85482a82ed9456de860e3f0d0b724b53de5a83f0133c4321df2a2870a",
    )
}

public fun not_found(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"817a46dc23998648cde1d0bb508361d4c20c74387f24175b957eeec620b91947707d2e2b6e26fe9616eaf71947b439974187e9c4f4db0f76c434953ed8922401",
    )
}

public fun other_hash(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6",
        60,
        b"",
        1800000000000,
        x"e2378ce1589d761bbd5f660f48eb8ed9401006b245f08f598c5965e27a962598d34b56240dadc5c1fd0b570cdeb0f84152fe55d15206611c2ca3f0fa58334604",
    )
}

public fun other_length(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        61,
        b"",
        1800000000000,
        x"bd1ed79dd39b5892ed6ad578ddc2aec5c828a518172c5b560d735b4fab30816c55373ca1f64fa2cc9365011b73b4d948a3f1262d19699bcdde5d3a4bb6a4d505",
    )
}

public fun later(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000001,
        x"6641be1561bfa492867a97c114421726ce9fb08146d85a7630c878797bec6b6f7202aed16cbf3bc79f4370ae4db591b6f79d72c955181077e71b99870b2f090b",
    )
}

public fun next_epoch(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"2e9c4c8d2feb1bc483c08ced0c31526e8991b1da7d0b5b9295314062612fb2029b2f79293f6aaf0558bca772be47613447f94cca6c8384f6db4b6f14ae65a700",
    )
}

public fun other_request(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"30e3f12a7cc97b0a8ac8c7eaa0d5e52d052aea235ed8e65f839755e68bd4e8c957de50b4ab8df2453e4a3bb0acd831673f949a2d866be0753f3e09c66b128a00",
    )
}

public fun other_digest(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"89e940226555fe068d2681cfd90e7eb4f5ae80e5fad4f406f9f63463d718283e",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"df35f71c59034bb5e8c779079d1fece8e198e1948691deeba532138f6f6b77c71335a77c0c2ed55b4f04e32ccdfbf13e8f8243e5d8fe797af531415c038bf80f",
    )
}

public fun other_id(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"fd0a22356a61f15a543d4f436db903e5bf32e02090a6e876e60fb730d3717ccd61ce4c9b946733bbddfc18bc1fbd6c55aa734815c82b8b21805425f24be0c104",
    )
}

public fun by_beta(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x1611edd9a9d42dbcd9ae773ffa22be0f6017b00590959dd5c767e4efcd34cd0b,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"20830467498a5dc4340b05aa4da80f043499f5590558dc61086e22f6d2e39352060b5b7c44e0501a0ca6d49d9272d4d4c5b5a8c96b8c79b1a74af9aaaf745900",
    )
}

public fun lowest_status(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        1,
        b"",
        1800000000000,
        x"5be3d6524b729c30fedd1e812206c8651e49c35bf1f7c180d688789ea2a290a0f4a6fa70e4d4aed04637d22897c2e014dfd146733a8390ccaaf31d8a1dd50609",
    )
}

public fun highest_status(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        599,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        268435456,
        b"",
        1800000000000,
        x"2bfe812047585b24082360dc0d2d3eb5876588199dfd3a74c055c4bc27258a5b14f9667ab9d1ff7cb5ba3f4ec54ba729dddf60457ddac357c416bb27af94c30e",
    )
}

public fun low_status(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        199,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"253a41df91b797830345b36799d8b1c1dbefe239566411e0dff8163adc9f4467646a8ee5d55d25da8ba07b615fe88389f89bbba550a08e543a83c3fdcb3b7301",
    )
}

public fun high_status(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        600,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"d312f5aa5ef7d72506da198afabd16c72a34297e01b8638a4bd78f470dfa5ddc134f6a16721248fd64258d69cfea87e470f0e541af31ed8f9ddb512429070e03",
    )
}

public fun short_hash(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"e94cff9cbd8de7b334d0952baa9f0aa9382c0b69d5c3b65e5391af7663e06ef1115a40987b4cff988d51d7f0aac3114178bf10dfc5384bf2e86a3e461da41501",
    )
}

public fun no_length(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        0,
        b"",
        1800000000000,
        x"e978c677d6b685e37a8e9b4357b9d0a9125b1c18eae60de2f93967fed178c9af5166dc5977597a26b24f5b220852d5f4bf8e6e1e2efc26d99c76fe56eb648901",
    )
}

public fun too_long(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        268435457,
        b"",
        1800000000000,
        x"bf1c13a5b48b0149c20bfce2268698b5a0e0f7b89937e9b440c4fca0f5b46bbe5661c441f083e820bd70f4b33dc4e26b39d7eab33a48aec1238119c6247a1409",
    )
}

public fun sealed_without_key(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        x"010203",
        1800000000000,
        x"b365f141525d5078717050fa74c8233df1929817fa3a1be219b4c08a5658d7ff6f9515107c6c2834ef2e91f8df9e745cb146546033859ab363a39ec7b5762805",
    )
}

public fun of_write(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        vector::tabulate!(16000, |_| 0x77),
        1800000000000,
        x"77a158837745adf9e13e7a99ad6fe3c68c53c089c71557d9cbf506d2ae96975085f39aabf5f22e7217884799216815fe05597f22d6b3f319e6667f133684530e",
    )
}

public fun of_write_sealed_too_long(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        vector::tabulate!(16001, |_| 0x77),
        1800000000000,
        x"ce909002a82d5e478d6f18263b6b65c0a08f8573019559777265b71782d06eee3a392921ae86610acbf9c8da0815378cd318d36287ef21359ae0e3e7eaaa7c00",
    )
}

public fun of_write_released(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"7a1fd1f9e650e3e4d07f91198a1d0802a9c967a95738d3975df80958cb34f0411430966afabb5e53590b43288360106ecae3f29e8b4f6632f6f47ef5323a390a",
    )
}

public fun of_claimed_read(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"6232dca1ecc508c438bc24e617745ed25e32c938f7a112109ce94322c19e36ae12244e84b425b8f4395b411e3b87c62222cdb996be66b936df8028a461d52e0f",
    )
}

public fun of_claimed_write(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        504,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"f69927399b0b2a965c5a45fceaa74f9837596f4cd59da3968bc8c0c1f2c20c609256408a5e3fa683df378715b5256533a9445eed3fef808c21cf40b40372fd0a",
    )
}

public fun of_claimed_write_done(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        200,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"7a1fd1f9e650e3e4d07f91198a1d0802a9c967a95738d3975df80958cb34f0411430966afabb5e53590b43288360106ecae3f29e8b4f6632f6f47ef5323a390a",
    )
}

public fun of_claimed_write_malformed(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000002",
        x"0571c1c6adde666a98f6e8a49151b238525cb8e584a0db27b5abfa4267b708cb",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        199,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"1848dda19d25ed42e15245ad999febb5d7cf924dd833de568664830cf6895dd98afe9b5c20db31e4450f4aff5ce73451e56ab06f3525af79363b957650eee003",
    )
}

public fun of_session(): Answer {
    calls::answer(
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        404,
        x"e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5",
        60,
        b"",
        1800000000000,
        x"74787aed293fb66f3adb5f64659fd3c21efc9bca899bb108659ce94fd49f1d072cd36c2813adc2091166c88a87efcbf794ea2732ce3741cddfbf45770071620a",
    )
}

public fun claim_read(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"ae644cac412f4d45fe0dcda0e5e435c02a7f558054bebfa94aeae16de628523f3c15b124a01f8e168e96dabb3392bad12c693744cdcd6d72f4c1b7912427da0e",
    )
}

public fun claim_read_again(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        2,
        x"2e6e5fc575be66bebd727b2402f2a0a14a84b4360d8ff2c7c973fb07403909a21a86778d66f543197a434a70d88961228f8c26628375eb446299efb8c5faf70b",
    )
}

public fun claim_read_a_third_time(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        3,
        x"bff5c32ad229327fe474cb7c8040ff446a530ea33a3e7ca383cf5a5bacef3138f330804433218849a964e4d4f5b53a84a52a5619ffaaa8b501a2f81c6f642209",
    )
}

public fun claim_read_by_beta(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x1611edd9a9d42dbcd9ae773ffa22be0f6017b00590959dd5c767e4efcd34cd0b,
        1,
        x"fad1c3d327548d514c3c6de8bd353e613ba44743925aa49fef9dd3bc774c44395f76ff4cf02c9e05a2da7d6f0344dd951d116e9010e546139f9ba87e7b21670c",
    )
}

public fun claim_read_at_this_epoch(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        x"304ee421c98df28eb853c03523308db5eac5c7c1bffcc7592c79e879b1b10bee37f8d07c781e00b626d5a601346c11050bc56df88ff21377c0c7e8a13859540e",
    )
}

public fun claim_write(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000002",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"7089566a27cb5b605aed2417261ab13d1784f92f80c582420b4357d7de0bb24939757e2c3f45888636c0fd2c4fe48bb1e8250c81083b93e0e16db036fd604000",
    )
}

public fun claim_session(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000004",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"8a85ade5970ef6b392e98d077032cd382f5630ec413f23d84d619542a38c6b2b1ffc5f847fd754db622afcfd0c5c775ec812fe69e35f530e86efb35bdda1860d",
    )
}

public fun release_read(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        x"2de34250ebeca1e7ea990673a1a26807b64bfa8c7e8f053232d9afecee114ad09267529835056c80558273a2c9b00f8436af390244993630c6a5109d5d9bbc0f",
    )
}

public fun release_read_by_beta(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x1611edd9a9d42dbcd9ae773ffa22be0f6017b00590959dd5c767e4efcd34cd0b,
        0,
        x"4173f29c48ea6cb8c51c3a2d88d27f42a1d0422816a5e0a1ac660b8bc5e9d2e606e60c19ca41611e0bf9ffd8878d1be834666b737cec75c19e2e90215aab7a05",
    )
}

public fun release_read_at_next_epoch(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"5aa07ce113ed900c1cef198de8a16beedf81f9811152d15340c9eefd051490ecee296e12b8df059dadd46711c538133172bc5944db4d7ef5df2950ebd9158701",
    )
}

public fun release_write(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000002",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        x"90f77ee5687b28515739760f72965636a01d12efc385ef02b61bea937dfbe76cbd0999c22209169d83834ce24e1e44bbcae1dc78355f24590d34a238028ada0f",
    )
}

public fun release_claimed_read(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000001",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"5aa07ce113ed900c1cef198de8a16beedf81f9811152d15340c9eefd051490ecee296e12b8df059dadd46711c538133172bc5944db4d7ef5df2950ebd9158701",
    )
}

public fun release_claimed_write(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000002",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        1,
        x"ac7b8335373d5512adb71241bb5067f406712279a31c6257cc0955319a8b9640dbfe316c619fea4e52def873d6b77d76efd88818c89c15b697c40b995075ea0f",
    )
}

public fun release_session(): Assignment {
    calls::assignment(
        b"01890000-0000-7000-8000-000000000004",
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        0,
        x"2493adba6cbf8ba6984de6bc6296796931a8432b1cb45e49833303f0fb227fbdf069cfece7cbb2ee850ff0fa4fc81e8347b9d13bb33955b92b52df49bf30e90a",
    )
}

public fun ended(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        0,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"196cc08bd794a072f1d7e7f8440ea94aa5d6f0eefcd8d081e95625552f7024b54057b4ece655dd152ce1dd75d4683f722d276b239465adbe934984c051900c01",
    )
}

public fun ended_by_error(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        0,
        12,
        3456,
        3,
        b"",
        x"07b118aec37d045aa7261547ccdb457ed473d24dab1c0e37c543efd5e8127659a6c37628c875f765b4db3bd8ed2001cd5ea410c7e66d4ce35b54308674c81801",
    )
}

public fun ended_by_beta(): End {
    calls::end(
        @0x1611edd9a9d42dbcd9ae773ffa22be0f6017b00590959dd5c767e4efcd34cd0b,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        0,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"fc4fdd5dced652e4660fe80b92cdb4b33153d5d183005f43b3e10bd81c41a64bb0de6f7950d74fc0c35aa80984d45800d1e8e3004067d8478ff5b0062cc1a30e",
    )
}

public fun ended_at_next_epoch(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        1,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"f9b21301bc77f0af5d39aca2eb874a6e8f1d22cf9bba67a0efe0a21c33221646ba54e9b089fd45559516a667d203a4c9ab1f05a8a66a7ba5e7bbec7c098cd209",
    )
}

public fun ended_for_no_reason(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        0,
        12,
        3456,
        4,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"428cc3ec2fa65a0b89644dc7dbe52335794a080b758a2dddaebafc6e8005a686e422eb60404b636236fbf668b97ffd8bd99526798f0a19ebbb284db5b649880f",
    )
}

public fun ended_with_short_hash(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"5fac8a5bb1987aad9b1f022ed80d42664fb72db3312081dfcb5ba226aaa684af",
        0,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"3f69313509e40055b6d1962413ed2a4e43c352a6d51d68aedf3a7846a8db30553d0c213d3d930922419f06e633bbe834b4200c031eafef27bc3bcd12b00e6c06",
    )
}

public fun ended_with_other_digest(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000004",
        x"1ca7d277424e4ab9691b7cadfb45c454eb37b065f34260b10f5c7f5e25cc9576",
        0,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"5e3af721c6a1709611581f5ea8ef6a4089a7d44726fce532b797c43bb095da86d14bc52beb0dbd73e4126bf59342b2aed598036721a7747276e683c42fae350e",
    )
}

public fun ended_no_session(): End {
    calls::end(
        @0x75c3360eb19fd2c20fbba5e2da8cf1a39cdb1ee913af3802ba330b852e459e05,
        b"01890000-0000-7000-8000-000000000001",
        x"1aaa6309b56aa47329e27eec898e8996ccc8ee6877a0f51c1cec366abf4cfcf0",
        0,
        12,
        3456,
        0,
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        x"b287135d84819644af125d1136d1eceb7c36452203aa68e1ec561ed998bf35f108b9f2993cbb8f44293a4bbca7ecb5579bd57c5116f36cab2849a9f3ef6fba03",
    )
}

public fun first_anchor(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        300,
        x"d0c1a48ef9732731cbe9857fe4f340fe9903deb61c8b470535f6aef333fc07658f2c81c0cf1e4791620aac6e56daa782ccf5252b22d1eb91ed539880e6907f07",
    )
}

public fun second_anchor(): Anchor {
    calls::anchor(
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        x"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
        301,
        301,
        1,
        x"fecfa405faa3a0cc92060b87947cd266e14472699e0ac5a1c4cf8a4ebd8423b39ead53efe0447133b01078ada9e965143165bfd590c275597102d8d466705201",
    )
}

public fun anchor_of_everything(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        18446744073709551615,
        18446744073709551615,
        x"a89df57c23ce37dd33fd595780a1ab61e696b063ef14d9fd62e04441f9782b251a936ba692718c5b958b3348f54ef9678f99e69c1b08a984d75a7461c3a52b01",
    )
}

public fun anchor_of_other_root(): Anchor {
    calls::anchor(
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        300,
        x"b777bbae6aa209f7f7de600556ada114d49176755c606a3049bb9a56f621775243c29244e9e72a82ccb9be71176435253abef3dfc4ace99d875f54d1b41a0603",
    )
}

public fun anchor_of_short_root(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        300,
        x"57a922776210fe61f47ab83ff31354dcc9486d07e87eed49a4250d888c280747ddcbc68663f09af48b5c375e5c968d9e35cc131c65d402922d9b48cebf274f08",
    )
}

public fun anchor_from_zero(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        0,
        300,
        301,
        x"edb5e03491c99fe0356f1e26c6ae44c1fdb7b3e6547a6ed91b55a9f37666a0533c8e2bdf8200af0ed08a4cfc722c0d41b7ad326ccc43227466f7ce311b7b7703",
    )
}

public fun anchor_with_gap(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        2,
        300,
        299,
        x"4c933c1402f466a704efb3024ff63d2267b0a65369392cc5831a468316f3fd30140752bc9a3ebcbb68d48d539dad0e9c8c5efdb95e4abfdbbbbab8312d6aef03",
    )
}

public fun anchor_backwards(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        0,
        0,
        x"13e734abe421fa080af1f001c01e85114650516ac67477fa844512e880438bc27a663679cf47d16e610532c89b2ab38e2d13215d1da6930c942fc643da8e9409",
    )
}

public fun anchor_of_other_count(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        299,
        x"3a16ebfa10b112953025e01ee496e1d1439ad8a6740133e940eff1f45095bf90b3bb8bf7d8a9912c8aa9995d1d00c51e70aecaa98def83403ef414587883fe08",
    )
}

public fun anchor_by_beta(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        300,
        x"5d968ed9cdd88dcc2e3385ce7f6ac52f2e99a135734ca5fb936f7faad04d86690a01bf18cd20f8ea09d1797283ee798a79e4bdb1fb55029788add0c45ec17200",
    )
}

public fun anchor_of_beta(): Anchor {
    calls::anchor(
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        1,
        300,
        300,
        x"680127c06c0ac4fdf8344d7e8077a9a386d4f7d90634e740526c5e235d3dd607301d057cbbcec9119b0343850b8a9b5d666ad65f0d5cd9c74f3641325aee7900",
    )
}
