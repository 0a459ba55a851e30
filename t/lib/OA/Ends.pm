package OA::Ends;

# How streams end, as clients see it.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP qw(decode_json);
use Test::More;

use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

our @EXPORT_OK = qw(listen_both clients ends_as ended_as is_told files);

my @CLIENTS = (
    [ 'SSE', 0, {} ],
    [ 'SSE, HTTP/2', 1, { http2 => 1 } ],
    [ 'plain', 0, { accept => '*/*' } ],
    [ 'plain, HTTP/2', 1, { accept => undef, http2 => 1 } ],
);

sub listen_both {
    my $old = OA::Nginx->version < 1.025001;
    return 'listen 127.0.0.1:%%PORT_0%%; listen 127.0.0.1:%%PORT_1%%'
        . ($old ? ' http2;' : '; http2 on;');
}

sub clients {
    my ($ng, $path, %request) = @_;
    my $ports = delete $request{ports} // [ 0, 1 ];
    return map { OA::Events->new($ng->port($ports->[$_->[1]]), $path,
                                 %{ $_->[2] }, %request) } @CLIENTS;
}

sub ends_as {
    my ($ng, $path, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $from = $o{from} // length $ng->log;

    subtest "$path: $o{code}" => sub {
        my @s = $o{clients} ? @{ $o{clients} }
            : clients($ng, $path, %{ $o{request} // {} });

        for my $i (0 .. $#CLIENTS) {
            my $plain = $CLIENTS[$i][0] =~ /^plain/;
            ended_as($s[$i], $CLIENTS[$i][0], %o, plain => $plain);

            next if $s[$i]->status != 200;
            my $again = OA::Events->new($ng->port($o{request}{ports}[0]), $path,
                headers => [ 'Last-Event-ID' => $s[$i]->last_id ]);
            is $again->status, 204, "$CLIENTS[$i][0]: that is all";

            $again = OA::Events->new($ng->port($o{request}{ports}[0]),
                                     "$path?stream="
                                     . $s[$i]->header('OA-Stream'));
            $again->wait_end;
            ok _events($again) eq _events($s[$i]),
                "$CLIENTS[$i][0]: the same once more";
        }
        is_told($ng, $from, $o{log}, scalar @CLIENTS) if $o{log};
    };
}

# Without heartbeats, and the name that an EventSource gets first.
sub _events {
    my ($s) = @_;
    return $s->raw =~ s/\Aid: .*\n\n//r =~ s/^:\n\n//gmr;
}

# One client, which got these events and this end.
sub ended_as {
    my ($s, $who, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @want = @{ $o{events} // [] };

    my @events = eval { $s->all };
    is $@, '', "$who: well-formed" or return;
    is $s->how_ended, 'complete', "$who: complete";

    if ($o{plain} && !@want && $o{code} ne 'done' && !$o{agent}) {
        is $s->status, 502, "$who: status";
        is $s->header('Content-Type'), 'application/problem+json',
            "$who: a problem";
        my $problem = eval { decode_json($s->raw) } // {};
        is $problem->{code}, $o{code}, "$who: code";
        is $s->header('OA-Stream'), undef, "$who: no stream";
        return;
    }

    is $s->status, 200, "$who: status";
    is $s->header('Content-Type'), 'text/event-stream', "$who: type";

    my $end = pop @events // {};
    is_deeply [ map { $_->{data} } @events ], \@want, "$who: events";

    my $name = $s->header('OA-Stream') // '';
    is_deeply [ map { $_->{id} } @events, $end ],
        [ map { "$name-$_" } 1 .. @want + 1 ], "$who: ids";

    if ($o{code} eq 'done') {
        is $end->{data}, '[DONE]', "$who: done";
        return;
    }
    my $error = eval { decode_json($end->{data}) } // {};
    is_deeply [ sort keys %$error ], [ qw(code error) ], "$who: an error"
        or diag $end->{data};
    is $error->{code}, $o{code}, "$who: code";
    is $error->{error}, $o{error}, "$who: error" if exists $o{error};
    like $error->{error} // '', qr/^[A-Z].*\.\z/, "$who: a sentence"
        if !exists $o{error};
}

# Since then error.log has told of so many, each by one line with its name.
sub is_told {
    my ($ng, $from, $why, $n) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @names;
    wait_for {
        @names = map { /\[(?:error|warn)\].* stream "(local-[\w-]+)".*$why/
                       ? $1 : () } split /\n/, substr $ng->log, $from;
        @names >= $n;
    } 5;
    is scalar @names, $n, "told: $why"
        or diag substr $ng->log, $from;
    my %names = map { $_ => 1 } @names;
    is scalar keys %names, $n, 'once of each';
}

# The open files of all workers.
sub files {
    my ($ng) = @_;
    my @files = map { glob "/proc/$_/fd/*" }
        $ng->worker_pids, $ng->old_worker_pids;
    return scalar @files;
}

1;

__END__

=head1 SYNOPSIS

    use OA::Ends qw(listen_both clients ends_as ended_as is_told files);

    "server { @{[ listen_both() ]} ... }"   # HTTP/1.1 and HTTP/2

    # four clients: SSE and others, over HTTP/1.1 (port 0) and HTTP/2 (port
    # 1); each must get this and nothing else, and 204 when it comes back with
    # its last event, or all again with none
    ends_as($ng, '/path', events => [ 'a', 'b' ], code => 'idle_timeout',
            error => 'text',                # default: a sentence
            agent => 1,                     # the agent told of it
            log => qr/why/,                 # in one line for each stream
            request => { method => 'POST', body => '...',
                         ports => [ 2, 3 ] },
            clients => [ clients($ng, '/path') ]);  # that have asked before

    ended_as($s, 'name', events => [ ... ], code => ..., plain => 1);
    is_told($ng, $from, qr/why/, $n);       # in error.log, from this offset

    my $before = files($ng);                # open in all workers
    wait_for { files($ng) <= $before };

=cut
