package Bench::Auth;

# Requests a second with tokens to verify, paired in time with the same
# requests to "empty_gif" and with the bare arithmetic.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench ();
use Bench::Speed ();
use OA::Client qw(http_get);
use OA::Nginx ();
use OA::Util qw(spew);

my $ISSUER = 'https://abcdefghijklmnopqrst.supabase.co/auth/v1';
my $SEEN = 10_000;

# As in Bench::Speed.
my $WORKER = 'worker_cpu_affinity 01;';
my @LOAD = qw(-C 1);
my $KEEP = 5;

# Seconds of a turn with what is around it, and turns of a run.
my ($TURN, $TURNS) = (0.115, 20);

# Tokens that fill an nginx's cache for the first time are not counted.
my $WARM = 20_000;

# The first of the tokens that are sent again and again; what is sent once is
# numbered from 0.
my $OLD = 3_000_000_000;

sub arms {
    return (
        gif  => { title => 'empty_gif', modules => [],
                  http => server('location / { empty_gif; }') },
        same => { title => 'empty_gif, another nginx', modules => [],
                  http => server('location / { empty_gif; }') },
        seen => { title => "$SEEN tokens seen before", old => 1,
                  alg => 'RS256', ours() },
        map { lc $_ => { title => "$_, every token new", new => 1,
                         alg => $_, ours() } } qw(RS256 ES256),
    );
}

# A head of 1.2 kB needs no second buffer: that would cost all alike.
sub server {
    my ($locations) = @_;
    return <<"END";
$Bench::COMMON
    client_header_buffer_size  4k;
    server {
        listen  127.0.0.1:%%PORT_0%%;
        $locations
    }
END
}

sub ours {
    return (
        modules => [qw(ngx_oa_core_module ngx_oa_auth_module)],
        http => <<"END" . server(<<'END'));
    oa_zone    128m;
    oa_issuer  bench {
        jwks_file   @{[ jwks() ]};
        issuer      $ISSUER;
        audience    authenticated;
        algorithms  RS256 ES256;
    }
END
location / { oa_auth bench; empty_gif; }
        location = /cache {
            oa_auth     bench;
            add_header  cache $oa_auth_cache always;
            empty_gif;
        }
END
}

sub jwks {
    my $path = Bench::folder() . '/jwks.json';
    my $tokens = Bench::program('tokens');
    if (!-e $path) {
        spew($path, scalar `'$tokens' jwks`);
        chmod 0644, $path;
    }
    return $path;
}


# Tokens

# A file of N tokens that were never made before.
my $made = 0;

sub mint {
    my ($alg, $n) = @_;
    my $first = $made;
    $made += $n;
    return mint_from($alg, $first, $n, Bench::folder() . "/$alg.new");
}

sub mint_from {
    my ($alg, $first, $n, $path) = @_;
    system Bench::program('tokens'), $alg, $first, $n, $path
        and die "tokens: failed\n";
    return $path;
}

sub tokens_of {
    my ($path, $n) = @_;
    open my $fh, '<', $path or die "$path: $!\n";
    my @tokens;
    while (@tokens < $n and defined(my $line = <$fh>)) {
        chomp $line;
        push @tokens, $line;
    }
    return @tokens;
}


# The servers

sub get {
    my ($arm, $path, $token) = @_;
    return http_get($arm->{nginx}->port, $path, headers => [
        defined $token ? (Authorization => "Bearer $token") : () ]);
}

sub start {
    my ($arm) = @_;

    $arm->{nginx} = OA::Nginx->new(
        http => $arm->{http}, modules => $arm->{modules}, main => $WORKER,
        log_level => 'warn');
    return if !$arm->{alg};

    my $file = $arm->{old} ? $arm->{tokens} : mint($arm->{alg}, $WARM);
    my ($token, @others) = tokens_of($file, 100);
    my $end = time + 10;
    my $status = 0;

    while ($status != 200) {
        $status = get($arm, '/', $token)->status;
        die "$arm->{title}: $status for a good token:\n", $arm->{nginx}->log
            if $status != 200 and time > $end;
        sleep 0.01;
    }

    # it looks at what it is given
    my $forged = $token =~ s/(.)(.{20})\z/($1 eq 'A' ? 'B' : 'A') . $2/er;
    for my $bad (undef, $forged) {
        my $r = get($arm, '/', $bad);
        die "$arm->{title}: ", $r->status, " for a bad token\n"
            if $r->status != 401;
    }

    Bench::load(@LOAD, '-o', spec(warm => $arm, tokens => $file));
    return if !$arm->{old};

    # and has kept it
    for my $token (@others) {
        my $cache = get($arm, '/cache', $token)->header('cache') // '';
        die "$arm->{title}: not in the cache\n" if $cache ne 'hit';
    }
}

sub spec {
    my ($name, $arm, $how, $file) = @_;
    my ($pid) = $arm->{nginx}->worker_pids;
    return join ',', $name, $arm->{nginx}->port, 200, $how ? 0 : 1, $pid,
                     $how ? "$how=$file" : ();
}

sub verify {
    my ($alg, $file) = @_;
    return 'verify,run=' . Bench::program('verify') . " 0 $alg '$file'";
}


# A run of an arm beside "empty_gif" that is sent the same tokens.  Where each
# of them is new, two more: "empty_gif" without a token, and the arithmetic.

sub load {
    my ($arms, $name, $round) = @_;
    my ($arm, $gif) = @$arms{ $name, 'gif' };
    my @specs;

    if ($arm->{new}) {
        my $file = mint($arm->{alg}, needed($arms, $arm));
        @specs = (spec(gif => $gif, tokens => $file), spec(bare => $gif),
                  verify($arm->{alg}, $file),
                  spec($name => $arm, new => $file));
    } else {
        my $file = $arm->{tokens};
        @specs = map { spec($_ => $arms->{$_}, tokens => $file) }
                 'gif', $name;
    }
    return Bench::load(@LOAD, '-S', $round, '-t', $TURNS, @specs);
}

# What one run can send at most, twice: the machine may have been disturbed.
sub needed {
    my ($arms, $arm) = @_;

    $arm->{needed} //= do {
        my $file = mint($arm->{alg}, 5000);
        my $got = Bench::load(@LOAD, '-t', 4,
                              spec(gif => $arms->{gif}, tokens => $file),
                              verify($arm->{alg}, $file));
        my $cost = 0;
        $cost += 1 / $_->{rps} for values %$got;
        int $TURN * $TURNS * 2 / $cost;
    };
    return $arm->{needed};
}

sub run {
    my ($rounds) = @_;
    my %arms = arms();
    my (%ratio, %runs, %cost);

    for my $name (sort keys %arms) {
        next unless grep { !-e OA::Nginx->module_path($_) }
                    @{ $arms{$name}{modules} };
        print "$arms{$name}{title}: not built, left out\n";
        delete $arms{$name};
    }

    my $old = mint_from('RS256', $OLD, $SEEN, Bench::folder() . '/RS256.old');
    $_->{tokens} = $old for values %arms;

    print "tokens, $rounds rounds\n";

    for my $round (1 .. $rounds) {

        if (($round - 1) % $KEEP == 0) {
            for my $name (sort keys %arms) {
                $arms{$name}{nginx}->stop if $arms{$name}{nginx};
                start($arms{$name});
            }
        }

        for my $name (Bench::Speed::shuffled(grep { $_ ne 'gif' }
                                             keys %arms))
        {
            my $got = load(\%arms, $name, $round);
            my ($arm, $gif, $bare, $verify)
                = @$got{ $name, qw(gif bare verify) };

            push @{ $runs{$name} }, $arm;
            push @{ $runs{gif} }, $gif;

            if (!$verify) {
                push @{ $ratio{$name} },
                    Bench::over_turns(sub { $_[0] / $_[1] }, $arm, $gif);
                push @{ $cost{$name} },
                    Bench::cpu_cost($gif) / Bench::cpu_cost($arm);
                next;
            }

            push @{ $runs{bare} }, $bare;
            push @{ $runs{"verify $name"} }, $verify;

            my $ideal = sub { $_[0] * (1 / $_[1] + 1 / $_[2]) };
            push @{ $ratio{$name} },
                Bench::over_turns($ideal, $arm, $gif, $verify);
            push @{ $ratio{"$name bare"} },
                Bench::over_turns($ideal, $arm, $bare, $verify);
            push @{ $cost{$name} },
                (Bench::cpu_cost($gif) + Bench::cpu_cost($verify))
                / Bench::cpu_cost($arm);
        }
        print '.';
    }
    print "\n\n";

    $_->{nginx}->stop for values %arms;

    my %title = (
        bare => 'empty_gif, no token',
        (map { ("verify $_" => 'bare ' . uc($_) . ' verify') }
             qw(rs256 es256)),
        map { $_ => $arms{$_}{title} } keys %arms,
    );
    Bench::lines(map {
        { title => $title{$_}, runs => $runs{$_}, cost => $cost{$_} }
    } keys %runs);

    my %against = (
        rs256 => 'empty_gif + verify', es256 => 'empty_gif + verify',
        'rs256 bare' => 'the same, no token',
        'es256 bare' => 'the same, no token',
    );
    return map {
        my ($name, @reach) = @$_;
        my ($title) = map { $arms{$_}{title} } $name =~ /^(\w+)/;
        $ratio{$name} ? Bench::row($title, $against{$name} // 'empty_gif',
                                   $ratio{$name}, @reach) : ();
    } [ 'rs256', reach => 0.88 ], ['rs256 bare'],
      [ 'es256', reach => 0.95 ], ['es256 bare'],
      [ 'seen', reach => 0.90 ], ['same'];
}

1;
