
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_fly.h"
#include "tap.h"


#define M(id, name, state, volume)                                            \
    "{\"id\":\"" id "\",\"name\":\"" name "\",\"state\":\"" state "\","       \
    "\"region\":\"ams\",\"config\":{\"mounts\":[{\"volume\":\"" volume        \
    "\"}]}}"


static ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return s;
}


static void
test_machines(void)
{
    ngx_int_t          rc;
    ngx_str_t          json, name, volume;
    ngx_uint_t         i;
    oa_fly_machine_t   m;

    static const struct {
        const char      *json;
        ngx_int_t        rc;
        oa_fly_state_e   state;
    } machines[] = {
        { M("m1", "a", "started", ""), NGX_OK, OA_FLY_STARTED },
        { M("m1", "a", "suspended", ""), NGX_OK, OA_FLY_STOPPED },
        { M("m1", "a", "Started", ""), NGX_OK, OA_FLY_SETTLING },
        { M("m1", "a", "migrated", ""), NGX_OK, OA_FLY_DESTROYED },
        { M("", "a", "started", ""), NGX_ERROR, 0 },
        { M("a/b", "a", "started", ""), NGX_ERROR, 0 },
        { M("a_b", "a", "started", ""), NGX_ERROR, 0 },
        { M("a;b", "a", "started", ""), NGX_ERROR, 0 },
        { "{\"id\":\"m\",\"state\":\"started\"}", NGX_ERROR, 0 },
        { "{\"id\":\"m\",\"state\":\"started\",\"region\":\"a-b\"}",
          NGX_ERROR, 0 },
        { "{\"id\":\"m\",\"state\":\"started\",\"region\":\"abcdefghi\"}",
          NGX_ERROR, 0 },
        { "{\"id\":\"m\",\"region\":\"ams\"}", NGX_ERROR, 0 },
        { "{\"id\":1,\"state\":\"started\",\"region\":\"ams\"}", NGX_ERROR,
          0 },
        { "{\"id\":\"a\",\"id\":\"b\",\"state\":\"started\",\"region\":"
          "\"ams\"}", NGX_ERROR, 0 },
        { "[]", NGX_ERROR, 0 },
        { "null", NGX_ERROR, 0 },
        { "", NGX_ERROR, 0 }
    };

    static const struct {
        const char      *json;
        ngx_int_t        rc;
        const char      *id;
    } lists[] = {
        { "[]", NGX_DECLINED, NULL },
        { "{}", NGX_ERROR, NULL },
        { "", NGX_ERROR, NULL },
        { "[1,null,{}]", NGX_DECLINED, NULL },
        { "[" M("m1", "oa-x", "started", "") "]", NGX_OK, "m1" },
        { "[" M("m1", "oa-x-2", "started", "") "]", NGX_OK, "m1" },
        { "[" M("m1", "oa-xy", "started", "") "]", NGX_DECLINED, NULL },
        { "[" M("m1", "oa", "started", "v") "]", NGX_OK, "m1" },
        { "[" M("m1", "oa-x", "destroyed", "v") "]", NGX_DECLINED, NULL },
        { "[" M("m1", "oa-x", "failed", "") "," M("m2", "oa-x", "stopped", "")
          "]", NGX_OK, "m2" },
        { "[" M("m1", "oa-x", "stopped", "") "," M("m2", "oa-x", "failed", "")
          "]", NGX_OK, "m1" },
        { "[" M("m1", "oa-x", "failed", "") "]", NGX_OK, "m1" },
        { "[" M("a/b", "oa-x", "started", "") "]", NGX_ERROR, NULL },
        { "[" M("a/b", "other", "started", "") "]", NGX_DECLINED, NULL }
    };

    for (i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        json = str(machines[i].json);
        rc = oa_fly_machine(&json, &m);

        ok(rc == machines[i].rc
           && (rc != NGX_OK || m.state == machines[i].state), "%s",
           show(json.data, json.len));
    }

    name = str("oa-x");
    volume = str("v");

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        json = str(lists[i].json);
        rc = oa_fly_find_machine(&json, &name, &volume, &m);

        ok(rc == lists[i].rc
           && (rc != NGX_OK || strcmp((char *) m.id.data, lists[i].id) == 0),
           "%s", show(json.data, json.len));
    }

    volume = str("");
    json = str("[" M("m1", "other", "started", "") "]");
    ok(oa_fly_find_machine(&json, &name, &volume, &m) == NGX_DECLINED,
       "no volume is not the same as another's none");
}


static void
test_others(void)
{
    int64_t           code;
    ngx_str_t         json, name;
    oa_fly_id_t       id;
    oa_fly_volume_t   v;

    name = str("oa_x");

    json = str("[{\"name\":\"oa_x\",\"id\":\"vol_1\",\"region\":\"ams\","
               "\"state\":\"scheduling_destroy\"},{\"name\":\"oa_x\",\"id\":"
               "\"vol_2\",\"region\":\"fra\",\"state\":\"created\"}]");
    ok(oa_fly_find_volume(&json, &name, &v) == NGX_OK
       && strcmp((char *) v.id.data, "vol_2") == 0
       && strcmp((char *) v.region.data, "fra") == 0,
       "a volume that is being destroyed is none");

    json = str("[{\"name\":\"oa_x\",\"id\":\"VOL\",\"region\":\"ams\"}]");
    ok(oa_fly_find_volume(&json, &name, &v) == NGX_ERROR,
       "a volume that cannot be told");

    json = str("{\"ips\":[{\"ip\":\"2a09:8280::1\"},{\"ip\":\"fdaa:0:1::3\"}"
               "]}");
    ok(oa_fly_find_ip(&json, &id) == NGX_OK
       && strcmp((char *) id.data, "fdaa:0:1::3") == 0, "a private address");

    json = str("[{\"ip\":\"2a09:8280::1\"}]");
    ok(oa_fly_find_ip(&json, &id) == NGX_DECLINED && id.len == 0,
       "a public one is none");

    json = str("{\"ip\":\"fdaa::1/64\"}");
    ok(oa_fly_ip(&json, &id) == NGX_ERROR, "an address with a slash");

    json = str("{\"exit_code\":-1}");
    ok(oa_fly_exit_code(&json, &code) == NGX_OK && code == -1, "exit code");
    json = str("{}");
    ok(oa_fly_exit_code(&json, &code) == NGX_OK && code == 0, "absent is 0");
    json = str("{\"exit_code\":\"0\"}");
    ok(oa_fly_exit_code(&json, &code) == NGX_ERROR, "a text is none");
    json = str("");
    ok(oa_fly_exit_code(&json, &code) == NGX_ERROR, "nothing is none");

    json = str("{\"organization\":{\"slug\":\"acme\"}}");
    ok(oa_fly_app(&json, &id) == NGX_OK && id.len == 4, "an organization");
    json = str("{\"id\":\"x\"}");
    ok(oa_fly_app(&json, &id) == NGX_OK && id.len == 0, "is not always told");
    json = str("{\"organization\":{\"slug\":7}}");
    ok(oa_fly_app(&json, &id) == NGX_ERROR, "an organization that is a 7");
}


static void
test_errors(void)
{
    ngx_str_t        json;
    ngx_uint_t       i;
    oa_fly_error_t   error;

#define E(text)  "{\"error\":\"" text "\"}"

    static const struct {
        oa_fly_call_e      call;
        ngx_uint_t         status;
        const char        *json;
        oa_fly_verdict_e   verdict;
    } tests[] = {
        { OA_FLY_MACHINE, 200, E("quota"), OA_FLY_OK },
        { OA_FLY_APP, 201, "", OA_FLY_OK },
        { OA_FLY_APP_DROP, 202, "", OA_FLY_OK },
        { OA_FLY_VOLUME, 400, E("No Capacity in ams"), OA_FLY_CAPACITY },
        { OA_FLY_VOLUME, 400, "no capacity, not even JSON", OA_FLY_CAPACITY },
        { OA_FLY_MACHINE, 403, E("over the allowed quota of 5"),
          OA_FLY_CAPACITY },
        { OA_FLY_APP, 403, E("quota"), OA_FLY_LATER },
        { OA_FLY_MACHINE, 409, E("insufficient memory available"),
          OA_FLY_CAPACITY },
        { OA_FLY_MACHINE, 412, E("insufficient resources to create new "
          "machine with existing volume 'vol_1'"), OA_FLY_CAPACITY },
        { OA_FLY_MACHINE, 412, E("volume vol_1 is already claimed by machine "
          "'x' with name 'y'"), OA_FLY_CLAIMED },
        { OA_FLY_MACHINE, 400, E("volume vol_1 not found"), OA_FLY_LOST },
        { OA_FLY_MACHINE, 400, E("image not found"), OA_FLY_FINAL },
        { OA_FLY_MACHINE, 404, E("app not found"), OA_FLY_NO_APP },
        { OA_FLY_MACHINE_GET, 404, E("machine not found"), OA_FLY_ABSENT },
        { OA_FLY_DESTROY, 404, "", OA_FLY_OK },
        { OA_FLY_VOLUME_DROP, 404, "", OA_FLY_OK },
        { OA_FLY_APP_DROP, 404, "", OA_FLY_OK },
        { OA_FLY_WAIT_DESTROYED, 404, "", OA_FLY_OK },
        { OA_FLY_VOLUME_DROP, 400, E("volume is attached"), OA_FLY_REFUSED },
        { OA_FLY_START, 412, E("failed_precondition: unable to start machine "
          "from current state: 'created'"), OA_FLY_AGAIN },
        { OA_FLY_START, 412, E("insufficient resources"), OA_FLY_REFUSED },
        { OA_FLY_WAIT, 408, E("deadline_exceeded"), OA_FLY_AGAIN },
        { OA_FLY_MACHINE, 408, "", OA_FLY_RETRY },
        { OA_FLY_APP, 422, E("x"), OA_FLY_TAKEN },
        { OA_FLY_APP_GET, 403, E("x"), OA_FLY_FOREIGN },
        { OA_FLY_MACHINE, 409, "{\"error\":\"x\",\"status\":\"name_taken\"}",
          OA_FLY_TAKEN },
        { OA_FLY_MACHINE, 409, E("lease currently held"), OA_FLY_REFUSED },
        { OA_FLY_MACHINE, 429, E("no capacity"), OA_FLY_REFUSED },
        { OA_FLY_MACHINE, 500, E("no capacity"), OA_FLY_RETRY },
        { OA_FLY_MACHINE, 599, "", OA_FLY_RETRY },
        { OA_FLY_MACHINE, 302, "", OA_FLY_RETRY },
        { OA_FLY_MACHINE, 999, "", OA_FLY_RETRY },
        { OA_FLY_MACHINE, 401, "", OA_FLY_LATER },
        { OA_FLY_MACHINE, 422, E("config"), OA_FLY_FINAL }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        json = str(tests[i].json);
        oa_fly_error(&error, tests[i].call, tests[i].status, &json);

        ok(error.verdict == tests[i].verdict
           && (error.code[0] == '\0') == (error.verdict == OA_FLY_OK),
           "call %d: %d %s", tests[i].call, (int) tests[i].status,
           show(json.data, json.len));
    }
}


int
main(void)
{
    test_machines();
    test_others();
    test_errors();

    return done_testing();
}
