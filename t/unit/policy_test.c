
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_policy.h"
#include "tap.h"


#define NOW      1764021600
#define ISSUER   "https://abcdefghijklmnopqrst.supabase.co/auth/v1"
#define USER     "0b9f4b1e-6c1f-4e0d-9a51-5a3f0d6a2b11"
#define SESSION  "d7e1f0a2-3b4c-4d5e-8f60-718293a4b5c6"

#define EXP      "\"exp\":1764025200"
#define IAT      "\"iat\":1764021600"
#define ISS      "\"iss\":\"" ISSUER "\""
#define AUD      "\"aud\":\"authenticated\""
#define SUB      "\"sub\":\"" USER "\""
#define ROLE     "\"role\":\"authenticated\""
#define SID      "\"session_id\":\"" SESSION "\""
#define KIND     ISS "," AUD "," ROLE "," SID

#define A50      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A255     A50 A50 A50 A50 A50 "aaaaa"


typedef struct {
    const char       *json;
    oa_auth_error_e   error;
    const char       *name;
} test_case_t;

typedef struct {
    const char       *json;
    ngx_uint_t        accept;          /* what lets it through */
    const char       *name;
} test_kind_t;


static const ngx_str_t  audiences[] = {
    ngx_string("authenticated"),
    ngx_string("other")
};


static const oa_policy_t  any = {
    .leeway = 30
};

static const oa_policy_t  exact = {
    .issuer = ngx_string(ISSUER),
    .audience = audiences,
    .naudience = 2,
    .leeway = 30
};

static const oa_policy_t  supabase = {
    .issuer = ngx_string(ISSUER),
    .audience = audiences,
    .naudience = 1,
    .leeway = 30,
    .supabase = 1
};

/* without issuer and audience: the kind alone decides */

static const oa_policy_t  kind = {
    .leeway = 30,
    .supabase = 1
};


static const test_case_t  times[] = {
    { "{" EXP "}", OA_AUTH_OK, "exp alone" },
    { "{}", OA_AUTH_CLAIM, "Envoy: exp missing" },
    { "{\"exp\":0}", OA_AUTH_CLAIM, "Envoy: exp 0" },
    { "{\"exp\":-0}", OA_AUTH_CLAIM, "exp -0" },
    { "{\"exp\":0.0}", OA_AUTH_CLAIM, "exp 0.0" },
    { "{\"exp\":-1}", OA_AUTH_CLAIM, "exp -1" },
    { "{\"exp\":\"1764025200\"}", OA_AUTH_CLAIM, "exp a string" },
    { "{\"exp\":null}", OA_AUTH_CLAIM, "exp null" },
    { "{\"exp\":true}", OA_AUTH_CLAIM, "exp true" },
    { "{\"exp\":[1764025200]}", OA_AUTH_CLAIM, "exp an array" },
    { "{\"exp\":{}}", OA_AUTH_CLAIM, "exp an object" },
    { "{\"exp\":9007199254740991}", OA_AUTH_OK, "exp 2^53 - 1" },
    { "{\"exp\":9007199254740992}", OA_AUTH_CLAIM, "exp 2^53" },
    { "{\"exp\":9223372036854775807}", OA_AUTH_CLAIM, "exp 2^63 - 1" },
    { "{\"exp\":1e300}", OA_AUTH_CLAIM, "exp 1e300" },
    { "{\"exp\":1e-400}", OA_AUTH_CLAIM, "exp that is rounded to 0" },
    { "{\"exp\":1.7640252e9}", OA_AUTH_OK, "exp with an exponent" },
    { "{\"exp\":1}", OA_AUTH_EXPIRED, "exp 1" },
    { "{\"exp\":0.5}", OA_AUTH_EXPIRED, "exp 0.5" },
    { "{\"exp\":1764021570}", OA_AUTH_EXPIRED, "exp + leeway now" },
    { "{\"exp\":1764021570.0}", OA_AUTH_EXPIRED, "and as a real" },
    { "{\"exp\":1764021569.5}", OA_AUTH_EXPIRED, "before now, by half" },
    { "{\"exp\":1764021570.5}", OA_AUTH_OK, "half a second from now" },
    { "{\"exp\":1764021571}", OA_AUTH_OK, "a second from now" },

    { "{" EXP ",\"nbf\":1764021600}", OA_AUTH_OK, "nbf now" },
    { "{" EXP ",\"nbf\":1764021630}", OA_AUTH_OK, "nbf - leeway now" },
    { "{" EXP ",\"nbf\":1764021631}", OA_AUTH_NOT_YET_VALID,
      "nbf - leeway in a second" },
    { "{" EXP ",\"nbf\":1764021630.5}", OA_AUTH_NOT_YET_VALID,
      "nbf - leeway in half a second" },
    { "{" EXP ",\"nbf\":1e308}", OA_AUTH_NOT_YET_VALID, "nbf at the end" },
    { "{" EXP ",\"nbf\":-1e308}", OA_AUTH_OK, "nbf at the begin" },
    { "{" EXP ",\"nbf\":0}", OA_AUTH_OK, "nbf 0" },
    { "{" EXP ",\"nbf\":\"0\"}", OA_AUTH_CLAIM, "nbf a string" },
    { "{" EXP ",\"nbf\":null}", OA_AUTH_CLAIM, "nbf null" },
    { "{" EXP ",\"nbf\":false}", OA_AUTH_CLAIM, "nbf false" },

    { "{" EXP ",\"iat\":1764021630}", OA_AUTH_OK, "iat - leeway now" },
    { "{" EXP ",\"iat\":1764021631}", OA_AUTH_NOT_YET_VALID,
      "iat in the future" },
    { "{" EXP ",\"iat\":0}", OA_AUTH_OK, "iat long ago" },
    { "{" EXP ",\"iat\":\"0\"}", OA_AUTH_CLAIM, "iat a string" },
    { "{" EXP ",\"iat\":null}", OA_AUTH_CLAIM, "iat null" },
    { "{" EXP ",\"iat\":[]}", OA_AUTH_CLAIM, "iat an array" },

    { "{\"exp\":1,\"nbf\":1764025200}", OA_AUTH_EXPIRED,
      "expired before not yet valid" },
    { "{\"exp\":1,\"iat\":\"0\"}", OA_AUTH_CLAIM,
      "no number before expired" },
    { "{" EXP ",\"nbf\":1764025200,\"iat\":null}", OA_AUTH_CLAIM,
      "no number before not yet valid" },

    { "{" EXP ",\"sub\":\"\"}", OA_AUTH_OK, "sub empty" },
    { "{" EXP ",\"sub\":\"google-oauth2|1\"}", OA_AUTH_OK, "sub no UUID" },
    { "{" EXP ",\"sub\":null}", OA_AUTH_CLAIM, "sub null" },
    { "{" EXP ",\"sub\":5}", OA_AUTH_CLAIM, "sub a number" },
    { "{" EXP ",\"sub\":[\"a\"]}", OA_AUTH_CLAIM, "sub an array" },
    { "{" EXP ",\"sub\":\"" A255 "\"}", OA_AUTH_OK, "sub of 255 bytes" },
    { "{" EXP ",\"sub\":\"" A255 "a\"}", OA_AUTH_CLAIM,
      "sub of 256 bytes" },
    { "{" EXP ",\"sub\":\"" A50 A50 A50 A50 A50 "aaaa\\u0061\"}",
      OA_AUTH_OK, "sub of 255 bytes and an escape" },
    { "{" EXP ",\"sub\":\"" A50 A50 A50 A50 A50 "aaaa\\u00fc\"}",
      OA_AUTH_CLAIM, "sub of 256 bytes, 255 characters" },
    { "{" EXP ",\"sub\":\"" A255 A255 A255 A255 A255 A255 "a\"}",
      OA_AUTH_CLAIM, "sub of 1531 bytes" },
    { "{" EXP ",\"sub\":\"a\\r\\nb\"}", OA_AUTH_CLAIM,
      "sub with a line end" },
    { "{" EXP ",\"sub\":\"a\x7f\"}", OA_AUTH_CLAIM, "sub with a DEL" },

    { "{" EXP ",\"role\":1,\"session_id\":2,\"client_id\":3,"
      "\"is_anonymous\":true,\"iss\":4,\"aud\":5}", OA_AUTH_OK,
      "the rest does not matter without supabase" }
};


static const test_case_t  names[] = {
    { "{" EXP "," ISS "," AUD "}", OA_AUTH_OK, "issuer and audience" },
    { "{" EXP ",\"iss\":\"https:\\/\\/abcdefghijklmnopqrst.supabase.co"
      "\\/auth\\/v1\"," AUD "}", OA_AUTH_OK, "the issuer escaped" },

    { "{" EXP "," AUD "}", OA_AUTH_ISSUER, "no iss" },
    { "{" EXP ",\"iss\":null," AUD "}", OA_AUTH_ISSUER, "iss null" },
    { "{" EXP ",\"iss\":\"\"," AUD "}", OA_AUTH_ISSUER, "iss empty" },
    { "{" EXP ",\"iss\":[\"" ISSUER "\"]," AUD "}", OA_AUTH_ISSUER,
      "iss an array" },
    { "{" EXP ",\"iss\":\"" ISSUER "/\"," AUD "}", OA_AUTH_ISSUER,
      "iss and a slash" },
    { "{" EXP ",\"iss\":\"https://abcdefghijklmnopqrst.supabase.co/auth/v\","
      AUD "}", OA_AUTH_ISSUER, "iss cut" },
    { "{" EXP ",\"iss\":\"HTTPS://abcdefghijklmnopqrst.supabase.co/auth/v1\","
      AUD "}", OA_AUTH_ISSUER, "iss in another case" },

    { "{" EXP "," ISS "}", OA_AUTH_AUDIENCE, "no aud" },
    { "{" EXP "," ISS ",\"aud\":\"other\"}", OA_AUTH_OK, "another one" },
    { "{" EXP "," ISS ",\"aud\":[\"x\",\"authenticated\"]}", OA_AUTH_OK,
      "aud an array" },
    { "{" EXP "," ISS ",\"aud\":[\"x\",\"oth\\u0065r\"]}", OA_AUTH_OK,
      "and escaped" },
    { "{" EXP "," ISS ",\"aud\":[1,null,[\"x\"],\"other\"]}", OA_AUTH_OK,
      "of strings and others" },
    { "{" EXP "," ISS ",\"aud\":[]}", OA_AUTH_AUDIENCE, "aud empty" },
    { "{" EXP "," ISS ",\"aud\":[\"x\"]}", OA_AUTH_AUDIENCE, "another's" },
    { "{" EXP "," ISS ",\"aud\":[[\"authenticated\"]]}", OA_AUTH_AUDIENCE,
      "aud an array in an array" },
    { "{" EXP "," ISS ",\"aud\":{\"authenticated\":1}}", OA_AUTH_AUDIENCE,
      "aud an object" },
    { "{" EXP "," ISS ",\"aud\":null}", OA_AUTH_AUDIENCE, "aud null" },
    { "{" EXP "," ISS ",\"aud\":\"authenticated other\"}", OA_AUTH_AUDIENCE,
      "aud two words" },
    { "{" EXP "," ISS ",\"aud\":\"authenticate\"}", OA_AUTH_AUDIENCE,
      "aud cut" },
    { "{" EXP "," ISS ",\"aud\":[\"authenticated2\"]}", OA_AUTH_AUDIENCE,
      "aud and more" },
    { "{" EXP "," ISS ",\"aud\":\"Authenticated\"}", OA_AUTH_AUDIENCE,
      "aud in another case" },

    { "{\"exp\":1}", OA_AUTH_EXPIRED, "expired before issuer" },
    { "{" EXP ",\"nbf\":1764025200}", OA_AUTH_NOT_YET_VALID,
      "not yet valid before issuer" },
    { "{" EXP "}", OA_AUTH_ISSUER, "issuer before audience" },
    { "{" EXP "," ISS ",\"sub\":1}", OA_AUTH_AUDIENCE,
      "audience before the kind" }
};


/* The reference's traps: signed by the same keys, and not a user's token. */

static const test_case_t  traps[] = {
    { "{" EXP "," IAT "," KIND "," SUB ",\"is_anonymous\":false}",
      OA_AUTH_OK, "a user's token" },
    { "{" EXP "," IAT "," ISS ",\"aud\":[\"x\",\"authenticated\"]," ROLE ","
      SID "," SUB "}", OA_AUTH_OK, "a hook that made aud an array" },
    { "{" EXP "," IAT "," ISS ",\"aud\":\"0f7a1c52-8d2f-4a3e-b1c9-"
      "5e6f7a8b9c0d\"," SUB "}", OA_AUTH_AUDIENCE,
      "trap: an ID token of the OAuth server" },
    { "{" EXP "," IAT "," KIND "," SUB ",\"client_id\":\"0f7a1c52-8d2f-4a3e-"
      "b1c9-5e6f7a8b9c0d\"}", OA_AUTH_CLAIM,
      "trap: a third party's OAuth access token" },
    { "{" EXP "," IAT ",\"iss\":\"supabase\",\"ref\":\"abcdefghijklmnopqrst\","
      "\"role\":\"anon\"}", OA_AUTH_ISSUER, "trap: the legacy anon key" },
    { "{" EXP "," IAT ",\"iss\":\"supabase\",\"ref\":\"abcdefghijklmnopqrst\","
      "\"role\":\"service_role\"}", OA_AUTH_ISSUER,
      "trap: the legacy service_role key" },
    { "{" EXP "," ROLE "," SUB "}", OA_AUTH_ISSUER,
      "trap: a minimal token of an imported key" },
    { "{" EXP "," AUD "," ROLE "," SID "," SUB "}", OA_AUTH_ISSUER,
      "a hook that dropped iss" }
};


/* What each accepts, where neither issuer nor audience are asked for. */

static const test_kind_t  kinds[] = {
    { "{" EXP "," KIND "," SUB ",\"is_anonymous\":false}", 0,
      "a user's token" },
    { "{" EXP "," KIND "," SUB "}", 0, "without is_anonymous" },
    { "{" EXP ",\"role\":\"\\u0061uthenticated\"," SID "," SUB "}", 0,
      "an escaped role" },

    { "{" EXP "," KIND "," SUB ",\"is_anonymous\":true}",
      OA_ACCEPT_ANONYMOUS, "an anonymous user's" },
    { "{" EXP "," KIND "," SUB ",\"is_anonymous\":\"false\"}",
      OA_ACCEPT_ANONYMOUS, "is_anonymous a string" },
    { "{" EXP "," KIND "," SUB ",\"is_anonymous\":1}",
      OA_ACCEPT_ANONYMOUS, "is_anonymous a number" },
    { "{" EXP "," KIND "," SUB ",\"is_anonymous\":null}",
      OA_ACCEPT_ANONYMOUS, "is_anonymous null" },

    { "{" EXP ",\"role\":\"service_role\"," SID "," SUB "}",
      OA_ACCEPT_SERVICE_ROLE, "the service's role" },
    { "{" EXP ",\"role\":\"anon\"," SID "," SUB "}",
      OA_ACCEPT_SERVICE_ROLE, "the role anon" },
    { "{" EXP ",\"role\":\"\"," SID "," SUB "}",
      OA_ACCEPT_SERVICE_ROLE, "an empty role" },
    { "{" EXP ",\"role\":\"Authenticated\"," SID "," SUB "}",
      OA_ACCEPT_SERVICE_ROLE, "a role in another case" },

    { "{" EXP "," KIND "," SUB ",\"client_id\":\"c\"}",
      OA_ACCEPT_THIRD_PARTY, "an OAuth client's" },
    { "{" EXP "," KIND "," SUB ",\"client_id\":\"\"}",
      OA_ACCEPT_THIRD_PARTY, "client_id empty" },
    { "{" EXP "," KIND "," SUB ",\"client_id\":null}",
      OA_ACCEPT_THIRD_PARTY, "client_id null" },

    { "{" EXP "," ROLE "," SUB "}",
      OA_ACCEPT_NO_SESSION, "trap: a minimal token" },
    { "{" EXP "," ROLE "," SID "}",
      OA_ACCEPT_NO_SESSION, "no sub" },
    { "{" EXP "," ROLE "," SID ",\"sub\":\"u1\"}",
      OA_ACCEPT_NO_SESSION, "sub no UUID" },
    { "{" EXP "," ROLE "," SUB ",\"session_id\":\"s1\"}",
      OA_ACCEPT_NO_SESSION, "session_id no UUID" },
    { "{" EXP "," ROLE "," SUB ",\"session_id\":\"\"}",
      OA_ACCEPT_NO_SESSION, "session_id empty" },
    { "{" EXP "," ROLE "," SUB ",\"session_id\":null}",
      OA_ACCEPT_NO_SESSION, "session_id null" },

    { "{" EXP ",\"role\":\"service_role\",\"iss\":\"supabase\"}",
      OA_ACCEPT_SERVICE_ROLE|OA_ACCEPT_NO_SESSION,
      "trap: the legacy service_role key" },
    { "{" EXP ",\"role\":\"anon\",\"iss\":\"supabase\"}",
      OA_ACCEPT_SERVICE_ROLE|OA_ACCEPT_NO_SESSION,
      "trap: the legacy anon key" },
    { "{" EXP "," ROLE "," SID "," SUB ",\"client_id\":\"c\","
      "\"is_anonymous\":true}",
      OA_ACCEPT_THIRD_PARTY|OA_ACCEPT_ANONYMOUS,
      "an anonymous user's, of a third party" },

    /* never */

    { "{" EXP "," SID "," SUB "}", 0x80, "no role" },
    { "{" EXP ",\"role\":null," SID "," SUB "}", 0x80, "role null" },
    { "{" EXP ",\"role\":[\"authenticated\"]," SID "," SUB "}", 0x80,
      "role an array" },
    { "{" EXP "," SUB "}", 0x80, "trap: an ID token" },
    { "{" EXP "," ROLE "," SID ",\"sub\":5}", 0x80, "sub a number" }
};


static oa_auth_error_e
judge(const oa_policy_t *policy, const char *json, oa_policy_facts_t *facts)
{
    size_t           len;
    u_char          *p;
    oa_claims_t      claims;
    oa_auth_error_e  error;

    len = strlen(json);

    p = malloc(len);
    if (p == NULL) {
        abort();
    }

    memcpy(p, json, len);

    if (oa_claims_scan(p, len, &claims) != NGX_OK) {
        ok(0, "no JSON: %s", json);
    }

    memset(facts, 0xa5, sizeof(oa_policy_facts_t));

    error = oa_policy_judge(policy, &claims, NOW, facts);

    free(p);

    return error;
}


static void
cases(const oa_policy_t *policy, const test_case_t *c, ngx_uint_t n)
{
    oa_auth_error_e    error;
    oa_policy_facts_t  facts;

    for ( /* void */ ; n; c++, n--) {
        error = judge(policy, c->json, &facts);

        if (!ok(error == c->error, "%s", c->name)) {
            printf("#  got: %d\n# want: %d\n", (int) error, (int) c->error);
        }
    }
}


static void
accepted(void)
{
    oa_policy_t        policy;
    ngx_uint_t         i, accept, bad;
    oa_auth_error_e    error, want;
    oa_policy_facts_t  facts;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bad = 0;

        for (accept = 0; accept <= 0x0f; accept++) {
            policy = kind;
            policy.accept = accept;

            want = (kinds[i].accept & ~accept) ? OA_AUTH_CLAIM : OA_AUTH_OK;
            error = judge(&policy, kinds[i].json, &facts);

            if (error != want) {
                printf("# accept 0x%02x: %d\n", (int) accept, (int) error);
                bad++;
            }
        }

        ok(bad == 0, "%s: 0x%02x lets it through", kinds[i].name,
           (int) kinds[i].accept);
    }
}


static void
facts_of(void)
{
    u_char             user[16], session[16];
    oa_policy_t        policy;
    oa_policy_facts_t  facts;

    (void) oa_uuid((u_char *) USER, 36, user);
    (void) oa_uuid((u_char *) SESSION, 36, session);

    (void) judge(&supabase, "{" EXP "," KIND "," SUB "}", &facts);
    ok(facts.exp == 1764025200, "exp, without leeway");
    ok(facts.has_session, "it has a session");
    is_bytes(facts.session, 16, session, 16, "this one");
    ok(facts.sub_is_uuid, "it has a user");
    is_bytes(facts.user, 16, user, 16, "this one");

    (void) judge(&any, "{\"exp\":1764025200.25}", &facts);
    ok(facts.exp == 1764025201, "exp is rounded up");
    (void) judge(&any, "{\"exp\":9007199254740991}", &facts);
    ok(facts.exp == 9007199254740991, "the latest exp");
    ok(!facts.has_session && !facts.sub_is_uuid, "no session, no user");

    (void) judge(&any, "{" EXP ",\"sub\":\"0B9F4B1E-6C1F-4E0D-9A51-"
                 "5A3F0D6A2B11\",\"session_id\":\"d7e1f0a2\"}", &facts);
    ok(!facts.has_session && facts.sub_is_uuid, "a user without a session");
    is_bytes(facts.user, 16, user, 16, "in capitals");

    (void) judge(&any, "{" EXP ",\"sub\":\"u1\",\"session_id\":"
                 "\"\\u0064\\u0037e1f0a2\\u002d3b4c-4d5e-8f60-718293a4b5c6\"}",
                 &facts);
    ok(facts.has_session && !facts.sub_is_uuid, "a session without a user");
    is_bytes(facts.session, 16, session, 16, "escaped");

    /* the leeway at its edges */

    policy = any;
    policy.leeway = 0;

    ok(judge(&policy, "{\"exp\":1764021600}", &facts) == OA_AUTH_EXPIRED,
       "no leeway: exp now");
    ok(judge(&policy, "{\"exp\":1764021601}", &facts) == OA_AUTH_OK,
       "no leeway: exp in a second");
    ok(judge(&policy, "{" EXP ",\"nbf\":1764021600}", &facts) == OA_AUTH_OK,
       "no leeway: nbf now");
    ok(judge(&policy, "{" EXP ",\"nbf\":1764021601}", &facts)
       == OA_AUTH_NOT_YET_VALID, "no leeway: nbf in a second");

    policy.leeway = 120;

    ok(judge(&policy, "{\"exp\":1764021481}", &facts) == OA_AUTH_OK,
       "leeway 120 s: exp 119 s ago");
    ok(judge(&policy, "{\"exp\":1764021480}", &facts) == OA_AUTH_EXPIRED,
       "leeway 120 s: exp 120 s ago");
}


static void
uuids(void)
{
    u_char      uuid[16], *p;
    ngx_uint_t  i, c, bad;

    static const u_char  bytes[16] = {
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
        0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10
    };

    static const char  lower[] = "01234567-89ab-cdef-fedc-ba9876543210";
    static const char  upper[] = "01234567-89AB-CDEF-FEDC-BA9876543210";

    ok(oa_uuid((u_char *) lower, 36, uuid) == NGX_OK, "a UUID");
    is_bytes(uuid, 16, bytes, 16, "its bytes");
    ok(oa_uuid((u_char *) upper, 36, uuid) == NGX_OK, "a UUID in capitals");
    is_bytes(uuid, 16, bytes, 16, "its bytes");

    bad = 0;

    for (i = 0; i <= 40; i++) {
        p = malloc(i ? i : 1);
        if (p == NULL) {
            abort();
        }

        memset(p, '0', i);
        memcpy(p, lower, ngx_min(i, 36));

        bad += ((oa_uuid(p, i, uuid) == NGX_OK) != (i == 36));
        free(p);
    }

    ok(bad == 0, "of 36 characters, no more or less");

    bad = 0;

    for (i = 0; i < 36; i++) {
        for (c = 0; c < 256; c++) {
            u_char      text[36];
            ngx_uint_t  hex;

            memcpy(text, lower, 36);
            text[i] = (u_char) c;

            hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')
                  || (c >= 'A' && c <= 'F');

            memset(uuid, 0xa5, 16);

            if (oa_uuid(text, 36, uuid) == NGX_OK) {
                bad += !(lower[i] == '-' ? c == '-' : hex);

            } else {
                bad += (lower[i] == '-' ? c == '-' : hex);
                bad += (uuid[0] != 0xa5 || uuid[15] != 0xa5);
            }
        }
    }

    ok(bad == 0, "each character counts, and nothing is written but a UUID");
}


int
main(void)
{
    cases(&any, times, sizeof(times) / sizeof(times[0]));
    cases(&exact, names, sizeof(names) / sizeof(names[0]));
    cases(&supabase, traps, sizeof(traps) / sizeof(traps[0]));
    accepted();
    facts_of();
    uuids();

    return done_testing();
}
