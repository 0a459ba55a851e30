# Keys from a file: from the first request on, and within a second of a change.

use strict;
use warnings;

use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for);

my ($one, $two, $three) = map { key('ES256', kid => "k$_") } 1 .. 3;

sub conf {
    my ($sources) = @_;
    return <<"CONF";
    oa_issuer t {
        $sources
        issuer $ISSUER; audience authenticated;
        refresh 1s;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location / {
            oa_auth t;
            add_header X-Error \$oa_auth_error always;
            add_header X-Pid \$pid always;
            empty_gif;
        }
    }
CONF
}

my $ng = OA::Nginx->new(workers => 3, http => conf('jwks_file keys.json;'),
                        files => { 'keys.json' => jwks($one) });

sub told {
    my ($key) = @_;
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => 'Bearer ' . $key->token ]);
    return $r->status . ($r->header('X-Error') // '');
}

sub soon {
    my ($what, $cond) = @_;
    my $start = time;
    my $ok = wait_for { !grep { !$cond->() } 1 .. 12 } 5;
    my $took = time - $start;
    ok $ok && $took < ($ng->sanitized ? 3 : 1.2), $what
        or diag "after $took s";
}

# As an editor does that keeps the file.
sub in_place {
    my ($bytes) = @_;
    open my $fh, '>:raw', $ng->path('keys.json') or die $!;
    print $fh $bytes;
    close $fh or die $!;
}

is told($one), '200', 'from the first request on';
is told($two), '401key', 'another key';

$ng->write_file('keys.json', jwks($two, $one));
soon 'changed, renamed into place', sub { told($two) eq '200' };
is told($one), '200', 'the old key is still there';

in_place(jwks($two));
soon 'changed in place', sub { told($one) eq '401key' };
is told($two), '200', 'the other one stays';

# broken

for my $broken ([ 'no JSON', '{"keys":[' ], [ 'a list', '[]' ],
                [ 'no keys', '{}' ], [ 'empty', '' ],
                [ 'over 64 KiB', '{"keys":[]}' . ' ' x 65536 ])
{
    my ($name, $bytes) = @$broken;
    my $errors = $ng->log_count(qr/\[error\]/);
    in_place($bytes);
    ok +(wait_for { $ng->log_count(qr/\[error\]/) == $errors + 1 } 5),
        "$name: an error";
    is told($two), '200', 'the old keys stay';
}
like $ng->log, qr/\[error\].*"t": ".*\/keys\.json" is no set of keys: \S/,
    'it names issuer and file';

unlink $ng->path('keys.json');
ok $ng->wait_log(qr/\[error\].*stat\(\) failed.*No such file/), 'gone';
is told($two), '200', 'the old keys stay';

mkfifo($ng->path('keys.json'), 0644) or die $!;
ok +(wait_for { $ng->log_count(qr/\[error\].*no set of keys/) == 7 } 5),
    'a pipe in its place';
is told($two), '200', 'does not hold anybody up';
unlink $ng->path('keys.json');

$ng->write_file('keys.json', jwks($three));
soon 'there again', sub { told($three) eq '200' };
is told($two), '401key', 'with its new keys';
$ng->write_file('keys.json', '{"keys":[]}');
soon 'an empty set', sub { told($three) eq '401key' };

# together with a URL

my $jwks = OA::Jwks->new(keys => [ $one, key('ES256', kid => 'k9') ]);
my $twin = key('RS256', kid => 'k1');
$ng->write_file('keys.json', jwks($two, $twin));
$ng->write_conf(http => conf('jwks_file keys.json; jwks_uri '
                             . $jwks->url . ';'));
ok $ng->reload, 'a reload';
is told($two), '200', 'a key of the file';
is told(key('ES256', kid => 'k9')), '200', 'and one of the URL';
is told($twin), '200', 'of two with one kid, the one of the file counts';
is told($one), '401algorithm', 'and the other does not';
$ng->write_file('keys.json', jwks($two));
soon 'until it goes', sub { told($one) eq '200' };
is told($twin), '401algorithm', 'and then the other way round';

$jwks->publish($three);
ok +(wait_for { told($three) eq '200' && told($one) eq '401key' } 5),
    'the URL is followed';
$ng->write_file('keys.json', jwks());
soon 'and the file', sub { told($two) eq '401key' };
is told($three), '200', 'each for itself';

# in the configuration

for my $bad ([ 'missing', undef, qr/No such file/ ],
             [ 'broken', '{"keys":{}}', qr/is no set of keys: \S/ ])
{
    my ($name, $bytes, $why) = @$bad;
    my ($rc, $text) = OA::Nginx->test_config(
        http => conf('jwks_file f.json;'),
        files => { defined $bytes ? ('f.json' => $bytes) : () });
    isnt $rc, 0, "$name: nginx -t fails";
    like $text, qr/\[emerg\].*f\.json.*$why/, 'and says why';
    like $text, qr/nginx\.conf:\d+/, 'and where';
}

done_testing;
