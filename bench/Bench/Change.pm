package Bench::Change;

# From a commit to the answer of every worker, beside a reload of nginx's map.

use strict;
use warnings;

use IPC::Open2 qw(open2);
use JSON::PP ();
use Time::HiRes qw(sleep time);

use Bench ();
use Bench::Speed ();
use OA::Client qw(http_get);
use OA::Nginx ();
use OA::Postgres ();
use OA::Util qw(slurp wait_for);

my $ROUTES = 100_000;
my $WORKERS = 4;
my $EACH = 4;               # connections to each

my $CHANGES = $ENV{CHANGES} // 300;
my $RELOADS = $ENV{RELOADS} // 20;

sub run {
    my @rows = reloads();

    if (-e OA::Nginx->module_path('ngx_oa_router_module')) {
        unshift @rows, changes();
    } else {
        print "route changes: not built, left out\n";
    }
    return @rows;
}

# A watcher on an nginx.
sub watcher {
    my ($nginx) = @_;
    my $pid = open2(my $out, my $in, Bench::program('watch'), $nginx->port,
                    $WORKERS, $EACH);
    return { in => $in, out => $out, pid => $pid };
}

# Milliseconds from before $change is run until the host has its new replay
# on all connections.
sub watch {
    my ($watcher, $host, $replay, $change) = @_;
    my $out = $watcher->{out};
    $host =~ s/\.\Q$Bench::DOMAIN\E$//;

    syswrite $watcher->{in}, "$host $replay\n";
    defined(my $go = <$out>) or die "watch stopped\n";
    $change->();
    defined(my $line = <$out>) or die "watch stopped\n";

    my $result = JSON::PP::decode_json($line);
    return $result->{all_ms};
}

sub end_watcher {
    my ($watcher) = @_;
    close $watcher->{in};
    waitpid $watcher->{pid}, 0;
}

sub new_replay {
    my ($replay) = @_;
    my $machine = sprintf '%07x%07x', rand 2 ** 28, rand 2 ** 28;
    $replay =~ s/instance=\w+/instance=$machine/ or die "no instance\n";
    return ($replay, $machine);
}


# The database

sub changes {
    my $pg = OA::Postgres->new(conf => { fsync => 'on' })->apply;
    fill($pg);

    my $conninfo = $pg->conninfo(user => 'oa_router');
    my $nginx = OA::Nginx->new(
        modules => [qw(ngx_oa_core_module ngx_oa_router_module)],
        workers => $WORKERS, log_level => 'warn', http => <<"END");
$Bench::COMMON
    oa_zone      64m;
    oa_postgres  '$conninfo';
    oa_routes    bench {
        domain  $Bench::DOMAIN;
        source  postgres;
    }
    server {
        listen       127.0.0.1:%%PORT_0%% reuseport;
        server_name  *.$Bench::DOMAIN;
        oa_router    bench;
        add_header   worker \$pid always;
        add_header   cache \$oa_route_cache always;
        location / { oa_replay format=header; }
    }
END

    my @routes = map { [ split ' ' ] }
                 split /\n/, slurp(Bench::routes_file('lines', $ROUTES));

    read_all($nginx, map { $_->[0] } @routes);

    # each route once: all are there, and right
    Bench::load('-o', join ',', 'postgres', $nginx->port, 307, $ROUTES, 0,
                                'replay');

    my $dbh = $pg->connect(AutoCommit => 0);
    my $watcher = watcher($nginx);
    my (@ms, $before, $peak);

    print "$CHANGES changes ";
    for my $n (1 .. $CHANGES + 10) {
        my ($host, $old) = @{ $routes[ rand @routes ] };
        my ($replay, $machine) = new_replay($old);
        (my $label = $host) =~ s/\..*//;

        $dbh->do('UPDATE public.agent_instances SET fly_machine_id = ?'
                 . ' WHERE subdomain = ?', undef, $machine, $label) == 1
            or die "$host is not in the database\n";

        my $ms = watch($watcher, $host, $replay, sub { $dbh->commit });

        # the first ones warm up
        push @ms, $ms if $n > 10;

        if ($n % 10 == 0) {
            my $memory = Bench::memory($nginx);
            $before //= $memory;
            $peak = $memory if $memory > ($peak // 0);
            print '.';
        }
        sleep rand 0.03;          # in step with no timer
    }
    print "\n";

    end_watcher($watcher);
    $dbh->disconnect;
    $nginx->stop;
    $pg->stop;

    return rows("commit to served by $WORKERS workers", \@ms,
                $peak - $before, reach => 50);
}

# The feed has read the table when hosts that nobody asked for are known, those
# at its end too.
sub read_all {
    my ($nginx, @hosts) = @_;
    my ($last) = reverse sort @hosts;
    my $end = time + 60;
    my $known = 0;

    while ($known < 20) {
        my $host = $known == 19 ? $last : $hosts[rand @hosts];
        my $r = eval { http_get($nginx->port, '/', host => $host) };

        if ($r and ($r->header('cache') // '') eq 'hit') {
            $known++;
            next;
        }
        die "the routes are not read:\n", $nginx->log if time > $end;
        $known = 0;
        sleep 0.2;
    }
}

sub fill {
    my ($pg) = @_;
    my $file = Bench::routes_file('copy', $ROUTES);
    my $dbh = $pg->connect;

    $dbh->do(<<'END');
CREATE TEMP TABLE copied (i int, subdomain text, app text, machine text)
END
    $dbh->do('COPY copied FROM STDIN');
    open my $fh, '<', $file or die "$file: $!\n";
    while (<$fh>) {
        $dbh->pg_putcopydata($_);
    }
    $dbh->pg_putcopyend;

    # a thousand users, each with up to a hundred agents
    $dbh->do(<<'END');
WITH u AS (
    INSERT INTO auth.users (id)
    SELECT gen_random_uuid() FROM generate_series(1, 1000)
    RETURNING id
)
INSERT INTO public.user_profiles (id) SELECT id FROM u
END
    $dbh->do(<<'END');
INSERT INTO public.agents (name, slug)
SELECT 'bench', 'bench-' || i FROM generate_series(1, 100) i
END
    $dbh->do(<<'END');
INSERT INTO public.agent_instances
       (user_id, agent_id, fly_app_name, fly_machine_id, status, access,
        subdomain)
SELECT u.id, a.id, c.app, c.machine, 'running', 'public', c.subdomain
  FROM copied c
  JOIN (SELECT id, row_number() OVER () - 1 AS n
          FROM public.user_profiles) u ON u.n = c.i / 100
  JOIN (SELECT id, row_number() OVER () - 1 AS n
          FROM public.agents) a ON a.n = c.i % 100
END
    $dbh->do('ANALYZE');
    $dbh->disconnect;
}


# nginx's map

sub reloads {
    my $nginx = OA::Nginx->new(
        modules => [], workers => $WORKERS, log_level => 'warn',
        files => { 'first.map' => Bench::Speed::first_map() },
        http => $Bench::COMMON . Bench::Speed::map_conf() . <<"END");
    server {
        listen      127.0.0.1:%%PORT_0%% reuseport;
        add_header  worker \$pid always;
        add_header  fly-replay \$target always;
        return      307;
    }
END
    my ($host, $old) = Bench::first_route();
    my (@ms, @growth);

    print "$RELOADS reloads ";
    for my $n (1 .. $RELOADS) {

        # each time on new connections, spread over all workers
        my $watcher = watcher($nginx);
        my ($replay) = new_replay($old);

        $nginx->write_file('first.map', Bench::Speed::first_map($replay));
        push @ms, watch($watcher, $host, $replay,
                        sub { $nginx->signal('HUP') });
        end_watcher($watcher);
        settled($nginx);
        print '.';
    }

    # apart from the times, since looking costs time
    for my $n (1 .. 5) {
        my $before = Bench::memory($nginx);
        my $peak = $before;
        my $end = time + 2;

        $nginx->signal('HUP');
        while (time < $end) {
            my $memory = Bench::memory($nginx);
            $peak = $memory if $memory > $peak;
        }
        push @growth, $peak - $before;
        settled($nginx);
    }
    print "\n";
    $nginx->stop;

    return rows('reload to served, map of ' . $ROUTES, \@ms,
                Bench::median(@growth));
}

# The workers before the reload have gone.
sub settled {
    my ($nginx) = @_;
    wait_for {
        !$nginx->old_worker_pids and $nginx->worker_pids == $WORKERS
    } 20 or die "the old workers stay\n";
}

sub rows {
    my ($what, $ms, $growth, @reach) = @_;
    my $mb = sprintf '%.0f', $growth / 2 ** 20;
    my @percentile = (
        ['p50', 0.50], ['p95', 0.95, @reach], ['max', 1.00]);

    return (
        (map {
            my ($name, $share, @more) = @$_;
            {
                what => "$what, $name, ms", format => '%.1f',
                value => Bench::quantile($share, @$ms), sign => -1, @more,
            }
        } @percentile),
        {
            what => "$what, memory, MB", format => '%+d', value => $mb,
            @reach ? (reach => 0, sign => -1) : (),
        });
}

1;
