package Bench::Speed;

# Requests a second against "return 204", paired in time.

use strict;
use warnings;

use Cwd qw(abs_path);
use Time::HiRes qw(sleep time);

use Bench ();
use OA::Client qw(http_get);
use OA::Nginx ();

my ($FEW, $MANY) = (100_000, 1_000_000);

# nginx's worker has the first CPU, the load generator the second.
my $WORKER = 'worker_cpu_affinity 01;';
my @LOAD = qw(-C 1);

# Rounds between two restarts: where memory lies is drawn again by each.
my $KEEP = 5;

my $LUA = '/usr/lib/nginx/modules';

# name: what its nginx has; those with "replay" answer with the right one.
sub arms {
    my %arms = (
        base => {
            title => 'return 204', status => 204, hosts => $FEW,
            modules => [],
            http => server('location / { return 204; }'),
        },

        same => {
            title => 'return 204, another nginx', status => 204,
            hosts => $FEW, modules => [],
            http => server('location / { return 204; }'),
        },

        map => {
            title => "map, 307 with nginx's page", status => 307,
            hosts => $FEW, replay => 1, modules => [],
            http => map_server('return 307;'),
        },

        # no page: the most that nginx alone can do
        map_204 => {
            title => 'map, 204', status => 204, hosts => $FEW,
            replay => 1, modules => [], http => map_server('return 204;'),
        },

        few => ours($FEW, '64m'),
        many => ours($MANY, '400m'),
    );

    # Debian's Lua module fits Debian's nginx only
    if (abs_path(OA::Nginx->binary) eq '/usr/sbin/nginx'
        and -e "$LUA/ngx_http_lua_module.so"
        and -e "$LUA/ndk_http_module.so")
    {
        my $file = Bench::routes_file('lines', $FEW);
        $arms{lua} = {
            title => 'Lua shared dict', status => 307, hosts => $FEW,
            replay => 1,
            modules => [ "$LUA/ndk_http_module.so",
                         "$LUA/ngx_http_lua_module.so" ],
            http => <<"END" . server(<<'END'),
    lua_shared_dict  routes 64m;
    init_by_lua_block {
        for line in io.lines("$file") do
            local host, replay = line:match("^(%S+) (%S+)\$")
            assert(ngx.shared.routes:safe_set(host, replay))
        end
    }
END
        location / {
            content_by_lua_block {
                local replay = ngx.shared.routes:get(ngx.var.host)
                if not replay then
                    return ngx.exit(404)
                end
                ngx.status = 307
                ngx.header["fly-replay"] = replay
                ngx.header["Content-Length"] = 0
                ngx.send_headers()
            }
        }
END
        };
    }
    return %arms;
}

sub server {
    my ($location, $more) = @_;
    return "$Bench::COMMON    server {\n"
        . "        listen       127.0.0.1:%%PORT_0%%;\n"
        . "        server_name  *.$Bench::DOMAIN;\n"
        . ($more // '') . "        $location\n    }\n";
}

sub map_server {
    my ($return) = @_;
    return map_conf() . server(<<"END");
location / {
            add_header  fly-replay \$target always;
            $return
        }
END
}

# The entry that changes stands in a file of its own.
sub map_conf {
    my $file = Bench::routes_file('map', $FEW);
    return <<"END";
    map_hash_max_size     131072;
    map_hash_bucket_size  256;
    map \$host \$target {
        include  $file;
        include  first.map*;
    }
END
}

sub first_map {
    my ($host, $replay) = Bench::first_route();
    $replay = shift if @_;
    return "$host \"$replay\";\n";
}

sub ours {
    my ($n, $zone) = @_;
    return {
        title => "replay, $n routes", status => 307, hosts => $n,
        replay => 1, zone => $zone,
        modules => [qw(ngx_oa_core_module ngx_oa_router_module)],
        http => <<"END"
    oa_zone    $zone;
    oa_routes  bench {
        domain  $Bench::DOMAIN;
        source  file @{[ Bench::routes_file('json', $n) ]};
    }
END
            . server('location / { oa_replay format=header; }',
                     "        oa_router    bench;\n"),
    };
}

# Starts an arm's nginx and returns when it serves the last route.
sub start {
    my ($arm) = @_;
    my ($host, $replay) = Bench::last_route($arm->{hosts});

    my $nginx = OA::Nginx->new(
        http => $arm->{http}, modules => $arm->{modules}, main => $WORKER,
        log_level => 'warn', files => { 'first.map' => first_map() },
        start => 0);

    my $start = time;
    $nginx->start;

    while (1) {
        my $r = eval { http_get($nginx->port, '/', host => $host) };
        last if $r and $r->status == $arm->{status}
                and (!$arm->{replay}
                     or ($r->header('fly-replay') // '') eq $replay);
        die "$arm->{title}: the last route is not served:\n", $nginx->log
            if time > $start + 120;
        sleep 0.01;
    }

    $arm->{nginx} = $nginx;
    push @{ $arm->{loaded} }, time - $start;
}

sub spec {
    my ($name, $arm) = @_;
    my ($pid) = $arm->{nginx}->worker_pids;
    return join ',', $name, $arm->{nginx}->port, @$arm{qw(status hosts)},
                     $pid, $arm->{replay} ? 'replay' : ();
}

sub run {
    my ($rounds) = @_;
    my %arms = arms();
    my (%ratio, %runs, %cost);

    for my $name (sort keys %arms) {
        next unless grep { !m{/} and !-e OA::Nginx->module_path($_) }
                    @{ $arms{$name}{modules} };
        print "$arms{$name}{title}: not built, left out\n";
        delete $arms{$name};
    }

    print "the load generator on CPU 1 against one worker on CPU 0, ",
          "$rounds rounds\n";

    for my $round (1 .. $rounds) {

        if (($round - 1) % $KEEP == 0) {
            for my $name (sort keys %arms) {
                my $arm = $arms{$name};
                $arm->{nginx}->stop if $arm->{nginx};
                start($arm);

                # each host once: every answer is right, every page is there
                Bench::load(@LOAD, '-o', spec($name, $arm));

                $arm->{used} = zone_used($arm) if $arm->{zone};
            }
        }

        for my $name (shuffled(grep { $_ ne 'base' } keys %arms)) {
            my $got = Bench::load(@LOAD, '-S', $round,
                                  spec(base => $arms{base}),
                                  spec($name => $arms{$name}));
            my ($base, $arm) = @$got{ 'base', $name };

            push @{ $ratio{$name} },
                Bench::over_turns(sub { $_[0] / $_[1] }, $arm, $base);
            push @{ $cost{$name} },
                Bench::cpu_cost($base) / Bench::cpu_cost($arm);
            push @{ $runs{ $_->{arm} } }, $_ for $base, $arm;
        }
        print '.';
    }
    print "\n\n";

    Bench::lines(map {
        { title => $arms{$_}{title}, runs => $runs{$_}, cost => $cost{$_} }
    } keys %runs);

    $_->{nginx}->stop for values %arms;

    return rows(\%arms, \%ratio);
}

sub rows {
    my ($arms, $ratio) = @_;
    my @rows;

    my $row = sub { push @rows, Bench::row(@_) };

    for (['few', reach => 0.92], ['map'], ['map_204'], ['lua'], ['same']) {
        my ($name, @reach) = @$_;
        $row->($arms->{$name}{title}, 'return 204', $ratio->{$name}, @reach)
            if $ratio->{$name};
    }

    if ($ratio->{many}) {
        my ($few, $many) = @$ratio{qw(few many)};
        $row->($arms->{many}{title}, "$FEW routes",
               [ map { $many->[$_] / $few->[$_] } 0 .. $#$many ],
               reach => 0.97);
        push @rows, {
            what => 'zone, MB', against => "$MANY routes", format => '%.0f',
            value => $arms->{many}{used} / 2 ** 20, reach => 400, sign => -1,
        };
        $row->('start to last route served, s', "$MANY routes",
               $arms->{many}{loaded}, format => '%.2f');
    }
    return @rows;
}

# Of the zone's pages those that were ever touched.
sub zone_used {
    my ($arm) = @_;
    my ($mb) = $arm->{zone} =~ /^(\d+)m$/;
    my $nginx = $arm->{nginx};
    return Bench::quantile(1, map { Bench::resident($_, $mb * 2 ** 20) }
                              $nginx->pid, $nginx->worker_pids);
}

sub shuffled {
    my @list = sort @_;
    for my $i (reverse 1 .. $#list) {
        my $k = int rand $i + 1;
        @list[ $i, $k ] = @list[ $k, $i ];
    }
    return @list;
}

1;
