
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_template.h"
#include "tap.h"


static ngx_pool_t  *pool;


static ngx_int_t
parse(oa_template_t *t, const char *text, const char **why)
{
    ngx_str_t  json;

    json.data = (u_char *) text;
    json.len = strlen(text);

    return oa_template_parse(t, &json, pool, why);
}


static void
is_filled(const oa_template_t *t, oa_template_text_e text, const char *want,
    const char *name)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   values[OA_VALUES] = {
        ngx_string("r\"1"), ngx_string("u1"), ngx_string("a1"),
        ngx_string("ada"), ngx_string("ams"), ngx_string("tok"),
        ngx_string("oa-1"), ngx_string("oa_1"), ngx_string("vol_1"),
        ngx_string("vol_0")
    };

    if (t->texts[text] == NULL) {
        ok(0, "%s: not there", name);
        return;
    }

    size = oa_template_size(t, text, values);

    p = malloc(size);
    if (p == NULL) {
        abort();
    }

    ok(oa_template_fill(p, t, text, values) == p + size, "%s: its size",
       name);
    is_bytes(p, size, want, strlen(want), name);
    free(p);
}


static void
test_good(void)
{
    const char     *why;
    oa_template_t   t;

    ok(parse(&t, "{\"config\":{\"image\":\"i:{{agent_id}}\",\"env\":{\"A\":"
             "\"{{route_id}}{{user_id}}\",\"B\":\"{ {{subdomain}} }\",\"C\":"
             "[1,true,null,\"{{machine_token}}\"]}},\"volume\":{\"size_gb\":3,"
             "\"path\":\"/d\",\"encrypted\":true},\"personalize\":[\"sh\","
             "\"{{machine_token}}\"],\"health\":{\"command\":[\"c\"],"
             "\"timeout\":5,\"stdin\":\"{{region}}\"}}", &why) == NGX_OK,
       "a template");

    is_filled(&t, OA_TEMPLATE_MACHINE, "{\"name\":\"oa-1\",\"region\":"
              "\"ams\",\"config\":{\"image\":\"i:a1\",\"env\":{\"A\":\"r\\\"1"
              "u1\",\"B\":\"{ ada }\",\"C\":[1,true,null,\"tok\"]},\"mounts\":"
              "[{\"volume\":\"vol_1\",\"path\":\"/d\"}]}}", "a machine");
    is_filled(&t, OA_TEMPLATE_VOLUME, "{\"size_gb\":3,\"encrypted\":true,"
              "\"name\":\"oa_1\",\"region\":\"ams\"}", "a volume");
    is_filled(&t, OA_TEMPLATE_FORK, "{\"size_gb\":3,\"encrypted\":true,"
              "\"name\":\"oa_1\",\"region\":\"ams\",\"source_volume_id\":"
              "\"vol_0\"}", "a fork");
    is_filled(&t, OA_TEMPLATE_PERSONALIZE, "{\"command\":[\"sh\",\"tok\"],"
              "\"timeout\":10}", "a command");
    is_filled(&t, OA_TEMPLATE_HEALTH, "{\"command\":[\"c\"],\"timeout\":5,"
              "\"stdin\":\"ams\"}", "a command with more");
    ok(t.timeouts[OA_TEMPLATE_HEALTH] == 5000
       && t.timeouts[OA_TEMPLATE_PERSONALIZE] == 10000, "their time");

    ok(parse(&t, "{\"config\":{\"image\":\"\\u007b\\u007bregion}}\"},"
             "\"health\":{\"port\":80,\"path\":\"/h?x=1\"}}", &why) == NGX_OK
       && t.health_port == 80 && t.health_path.len == 6
       && t.texts[OA_TEMPLATE_VOLUME] == NULL
       && t.texts[OA_TEMPLATE_PERSONALIZE] == NULL
       && t.texts[OA_TEMPLATE_HEALTH] == NULL, "a small one");
    is_filled(&t, OA_TEMPLATE_MACHINE, "{\"name\":\"oa-1\",\"region\":"
              "\"ams\",\"config\":{\"image\":\"ams\"}}",
              "a place that was escaped");
}


static void
test_bad(void)
{
    ngx_uint_t      i;
    const char     *why;
    oa_template_t   t;

#define CONFIG  "{\"config\":{\"image\":\"i\"}"

    static const struct {
        const char  *text;
        const char  *why;
    } tests[] = {
        { "", "is not JSON" },
        { "{\n\n\"config\":x}", "is not JSON in line 3" },
        { "{\"config\":{\"image\":\"i\"},\"config\":{}}", "is not JSON" },
        { "[]", "is not an object" },
        { "{}", "has no \"config\"" },
        { "{\"config\":[]}", "has no \"config\"" },
        { "{\"config\":{}}", "has no \"image\"" },
        { CONFIG ",\"voulme\":{}}", "has a member" },
        { "{\"config\":{\"image\":\"{{image}}\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"{{route_id }}\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"{{route_id}\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"{{{route_id}}}\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"{{#volume}}\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"{{\"}}", "has a {{...}}" },
        { "{\"config\":{\"image\":\"i\",\"{{x}}\":1}}", "has a {{...}}" },
        { CONFIG ",\"volume\":{}}", "has a \"volume\" without a \"path\"" },
        { CONFIG ",\"volume\":7}", "has a \"volume\" without a \"path\"" },
        { CONFIG ",\"volume\":{\"path\":\"x\",\"size_gb\":1}}",
          "has a \"volume\" without a \"path\"" },
        { CONFIG ",\"volume\":{\"path\":\"/x\"}}",
          "has a \"volume\" without a \"size_gb\"" },
        { CONFIG ",\"volume\":{\"path\":\"/x\",\"size_gb\":0}}",
          "has a \"volume\" without a \"size_gb\"" },
        { CONFIG ",\"volume\":{\"path\":\"/x\",\"size_gb\":1,\"name\":1}}",
          "has a \"volume\" with a name" },
        { "{\"config\":{\"image\":\"i\",\"mounts\":[]},\"volume\":{\"path\":"
          "\"/x\",\"size_gb\":1}}", "has both" },
        { CONFIG ",\"personalize\":[]}", "has a command that" },
        { CONFIG ",\"personalize\":\"x\"}", "has a command that" },
        { CONFIG ",\"personalize\":[1]}", "has a command that" },
        { CONFIG ",\"health\":{}}", "has a command that" },
        { CONFIG ",\"health\":{\"command\":[\"a\"],\"timeout\":61}}",
          "has a command with a \"timeout\"" },
        { CONFIG ",\"health\":{\"command\":[\"a\"],\"timeout\":\"1\"}}",
          "has a command with a \"timeout\"" },
        { CONFIG ",\"health\":{\"port\":0,\"path\":\"/\"}}",
          "has a \"health\"" },
        { CONFIG ",\"health\":{\"port\":80}}", "has a \"health\"" },
        { CONFIG ",\"health\":{\"port\":80,\"path\":\"/\",\"x\":1}}",
          "has a \"health\"" },
        { CONFIG ",\"health\":{\"port\":80,\"path\":\"/a b\"}}",
          "has a \"path\"" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        why = "";

        ok(parse(&t, tests[i].text, &why) == NGX_ERROR
           && strncmp(why, tests[i].why, strlen(tests[i].why)) == 0,
           "%s: %s", show(tests[i].text, strlen(tests[i].text)), why);
    }
}


int
main(void)
{
    oa_template_t   a, b;
    const char     *why;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        abort();
    }

    test_good();
    test_bad();

    ok(parse(&a, "{\"config\":{\"image\":\"1\"}}", &why) == NGX_OK
       && parse(&b, "{\"config\":{\"image\":\"2\"}}", &why) == NGX_OK
       && memcmp(a.digest, b.digest, OA_TEMPLATE_DIGEST) != 0, "digests");

    ngx_destroy_pool(pool);

    return done_testing();
}
