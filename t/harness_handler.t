# The harness itself: handlers that provision.

use strict;
use warnings;

use JSON::PP qw(decode_json encode_json);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Handler;
use OA::Util qw(wait_for);

my %JOB = (route_id => 'r1', user_id => 'u1', agent_id => 'a1',
           subdomain => 's1', region => 'fra', reason => 'visit',
           attempt => 1);

sub bytes {
    my ($h, $body, %o) = @_;
    my ($path) = ($o{url} // $h->handler) =~ m{^http://[^/]*(.*)};
    return request_bytes($path, method => $o{method} // 'POST', close => 1,
        body => ref $body ? encode_json($body) : $body,
        headers => [ Authorization => 'Bearer ' . ($o{token} // $h->token),
                     $o{key} ? ('Idempotency-Key' => $o{key}) : () ]);
}

# The status, and the answer or the text of an error.
sub ask {
    my ($h, @request) = @_;
    my $r = eval { OA::Client::http_raw($h->port, bytes($h, @request)) };
    return 'none' if !$r || !$r->status;
    my $json = eval { decode_json($r->body) };
    return ($r->status, ref $json eq 'HASH' && $json->{error} || $json, $r);
}

# A request to Trigger.dev.
sub wrapped {
    my ($key, %o) = @_;
    return { payload => { %JOB, %o }, options => {
        idempotencyKey => $key, concurrencyKey => $JOB{route_id} } };
}

subtest 'plain' => sub {
    my $place = { app => 'x', machine => 'm', region => 'fra' };
    my $h = OA::Handler->new(token => 't1', sub {
        my ($job) = @_;
        my %answer = (
            final => $place, refused => 403, feed => undef,
            busy => [ 429, { error => 'busy' }, 'Retry-After' => 7 ],
            html => [ 200, '<html>', 'Content-Type' => 'text/html' ],
            told => [ 200, { map { $_ => $job->{$_} }
                             qw(key times payload) } ],
        );
        return $answer{ $job->{payload}{reason} };
    });
    my $do = sub { ask($h, { %JOB, reason => $_[0] }, key => 'k1') };

    like $h->handler, qr{^http://127\.0\.0\.1:\d+/provision\z}, 'URL';
    is_deeply [ ($do->('final'))[0, 1] ], [ 200, $place ], 'final';
    is_deeply [ ($do->('feed'))[0, 1] ], [ 202, {} ], 'by the feed';
    is +($do->('refused'))[0], 403, 'refused';
    my ($status, $error, $r) = $do->('busy');
    is "$status $error", '429 busy', 'busy';
    is $r->header('Retry-After'), 7, 'when again';
    ($status, $error, $r) = $do->('html');
    is $r->body, '<html>', 'bytes';
    is join(' ', $r->header('Content-Type')), 'text/html', 'of a type';
    ($status, my $told) = $do->('told');
    is_deeply $told, { key => 'k1', times => 6,
                       payload => { %JOB, reason => 'told' } },
        'what the code knows';

    is $h->count('call'), 6, 'calls';
    is +($h->calls)[0]->data->{route_id}, 'r1', 'what was asked';
    is +($h->calls)[2]->status, 403, 'what was answered';
    is_deeply [ keys %{ $h->jobs } ], [ 'k1' ], 'one job';
    is $h->jobs->{k1}{times}, 6, 'six times';
    is $h->jobs->{k1}{payload}{reason}, 'final', 'the first';
};

subtest 'what is wrong' => sub {
    my $h = OA::Handler->new(sub { die "it is called\n" });
    my %less = %JOB;
    delete @less{qw(region attempt)};

    is +(ask($h, \%JOB, key => 'k', token => 'x'))[0], 401, 'token';
    is join(' ', (ask($h, \%less, key => 'k'))[0, 1]),
        '422 Missing: region attempt', 'fields';
    is join(' ', (ask($h, \%JOB))[0, 1]), '422 Missing: idempotency key',
        'no key';
    is +(ask($h, 'x', key => 'k'))[0], 400, 'no JSON';
    is +(ask($h, \%JOB, key => 'k', method => 'PUT'))[0], 404, 'method';
    is keys %{ $h->jobs }, 0, 'no job';
};

subtest 'trigger.dev' => sub {
    my $h = OA::Handler->new(format => 'trigger.dev', task => 'make', sub {
        my ($job, $c) = @_;
        $c->note("$job->{payload}{route_id} $job->{concurrency}");
        return $job->{payload}{reason} eq 'bad' ? 500 : undef;
    });
    like $h->handler, qr{/api/v1/tasks/make/trigger\z}, 'URL';

    my ($status, $run) = ask($h, wrapped('k1'));
    is $status, 200, 'triggered';
    like $run->{id}, qr/^run_/, 'a run';
    is $run->{isCached}, JSON::PP::false, 'a new one';
    ok $h->wait_note(qr/^r1 r1\z/), 'payload and key of concurrency';
    (undef, my $again) = ask($h, wrapped('k1'));
    is_deeply $again, { id => $run->{id}, isCached => JSON::PP::true },
        'not twice';
    (undef, my $other) = ask($h, wrapped('k2'));
    isnt $other->{id}, $run->{id}, 'another';
    is $h->notes, 2, 'the code, once a key';
    is +(ask($h, wrapped('k3', reason => 'bad')))[0], 500, 'scripted';
    is keys %{ $h->jobs }, 3, 'jobs';

    is +(ask($h, { %JOB }, key => 'k'))[0], 422, 'not wrapped';
    is +(ask($h, { payload => \%JOB }))[0], 422, 'no key';
    my $url = $h->url . '/api/v1/tasks/none/trigger';
    is join(' ', (ask($h, wrapped('k'), url => $url))[0, 1]),
        '404 Task not found', 'no such task';
    is join(' ', (ask($h, wrapped('k'), token => 'x'))[0, 1]),
        '401 Invalid or Missing API key', 'token';
    is +(ask($h, wrapped('k'), url => $h->url . '/provision'))[0], 404,
        'no such URL';
};

subtest 'pace, many' => sub {
    my $h = OA::Handler->new(sub {
        my ($job, $c) = @_;
        $c->wait('go');
        return { app => $job->{key} };
    });
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $h->wait_requests(20);
        $h->say('go') for 1 .. 20;
        POSIX::_exit(0);
    }
    my @r = http_many($h->port, [ map { bytes($h, \%JOB, key => "k$_") }
                                  1 .. 20 ], timeout => 30);
    waitpid $pid, 0;
    is_deeply [ map { decode_json($_->body)->{app} } @r ],
        [ map { "k$_" } 1 .. 20 ], 'each its own';
    is $h->count, 20, 'all at once';
};

subtest 'faults' => sub {
    my $h = OA::Handler->new;
    my $do = sub { (ask($h, \%JOB, key => $_[0]))[0] };

    is $do->('a'), 202, 'by the feed, where there is no code';
    $h->fault(call => status => 503, times => 2);
    is join(' ', map { $do->('b') } 1 .. 3), '503 503 202', 'for a while';
    is $h->jobs->{b}{times}, 1, 'not done meanwhile';
    $h->fault(call => drop => 1, done => 1);
    is $do->('c'), 'none', 'no answer';
    ok $h->jobs->{c}, 'though it was done';
    $h->fault('*' => html => 1);
    is $do->('d'), 502, 'HTML';
    $h->refuse;
    is $do->('e'), 'none', 'down';
    $h->listen;
    is $do->('e'), 202, 'up';

    my $trigger = OA::Handler->new(format => 'trigger.dev');
    $trigger->fault(trigger => drop => 1, done => 1);
    is +(ask($trigger, wrapped('k')))[0], 'none', 'no answer';
    my (undef, $run) = ask($trigger, wrapped('k'));
    is $run->{isCached}, JSON::PP::true, 'but there is a run';
    is $run->{id}, $trigger->jobs->{k}{run}, 'that';
};

done_testing;
