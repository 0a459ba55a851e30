
/*
 * Prints the routes of the first N hosts, in the form that an arm reads:
 *
 *     routes json N     a routes file
 *     routes map N      the inside of nginx's map, without its first entry
 *     routes lines N    host and replay, for Lua
 *     routes copy N     subdomain, app, machine, for COPY
 */


#include "hosts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef void (*print_pt)(uint32_t i);


static void
print_json(uint32_t i)
{
    char  label[HOST_LABEL_LEN], app[HOST_APP_LEN], machine[HOST_MACHINE_LEN];
    char  route[HOST_UUID_LEN], user[HOST_UUID_LEN], agent[HOST_UUID_LEN];

    host_label(label, i);
    host_app(app, i);
    host_machine(machine, i);
    host_uuid(route, i, 1);
    host_uuid(user, i, 2);
    host_uuid(agent, i, 3);

    printf("%s{\"subdomain\":\"%.*s\",\"route_id\":\"%.*s\","
           "\"user_id\":\"%.*s\",\"agent_id\":\"%.*s\",\"app\":\"%.*s\","
           "\"machine\":\"%.*s\",\"region\":\"iad\",\"status\":\"running\","
           "\"access\":\"public\"}",
           i ? ",\n" : "",
           (int) sizeof(label), label, (int) sizeof(route), route,
           (int) sizeof(user), user, (int) sizeof(agent), agent,
           (int) sizeof(app), app, (int) sizeof(machine), machine);
}


static void
print_map(uint32_t i)
{
    char  label[HOST_LABEL_LEN], replay[HOST_REPLAY_LEN];

    /* the first one is the changing entry of the reload's measurement */

    if (i == 0) {
        return;
    }

    host_label(label, i);
    host_replay(replay, i);

    printf("%.*s." HOST_DOMAIN " \"%.*s\";\n",
           (int) sizeof(label), label, (int) sizeof(replay), replay);
}


static void
print_lines(uint32_t i)
{
    char  label[HOST_LABEL_LEN], replay[HOST_REPLAY_LEN];

    host_label(label, i);
    host_replay(replay, i);

    printf("%.*s." HOST_DOMAIN " %.*s\n",
           (int) sizeof(label), label, (int) sizeof(replay), replay);
}


static void
print_copy(uint32_t i)
{
    char  label[HOST_LABEL_LEN], app[HOST_APP_LEN], machine[HOST_MACHINE_LEN];

    host_label(label, i);
    host_app(app, i);
    host_machine(machine, i);

    printf("%u\t%.*s\t%.*s\t%.*s\n", i, (int) sizeof(label), label,
           (int) sizeof(app), app, (int) sizeof(machine), machine);
}


int
main(int argc, char **argv)
{
    char          *end;
    print_pt       print;
    uint32_t       i;
    unsigned long  n;

    if (argc != 3) {
        goto usage;
    }

    if (strcmp(argv[1], "json") == 0) {
        print = print_json;

    } else if (strcmp(argv[1], "map") == 0) {
        print = print_map;

    } else if (strcmp(argv[1], "lines") == 0) {
        print = print_lines;

    } else if (strcmp(argv[1], "copy") == 0) {
        print = print_copy;

    } else {
        goto usage;
    }

    errno = 0;
    n = strtoul(argv[2], &end, 10);

    if (errno || *end != '\0' || n == 0 || n > UINT32_MAX) {
        goto usage;
    }

    if (print == print_json) {
        fputs("{\"routes\":[\n", stdout);
    }

    for (i = 0; i < n; i++) {
        print(i);
    }

    if (print == print_json) {
        fputs("\n]}\n", stdout);
    }

    if (fflush(stdout) == EOF || ferror(stdout)) {
        perror("routes: write");
        return 1;
    }

    return 0;

usage:

    fputs("usage: routes json|map|lines|copy N\n", stderr);

    return 2;
}
