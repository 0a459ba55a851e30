# oa_replay_verify refuses all but a good, unexpired state for this machine.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Client qw(http_get http_request);
use OA::Nginx;

my $master = 'the master key';
my $derived = hmac_sha256('app', $master);

my $ng = OA::Nginx->new(
    env  => { KEY => encode_base64url($derived), FLY_MACHINE_ID => 'm1' },
    http => <<'CONF');
    oa_replay_verify env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            add_header X-Sub "<$oa_replay_sub>" always;
            empty_gif;
        }
        location /satisfy {
            satisfy any;
            allow all;
            empty_gif;
        }
        location /off {
            oa_replay_verify off;
            empty_gif;
        }
        location /page {
            error_page 403 /refused;
            empty_gif;
        }
        location = /refused {
            internal;
            add_header X-Page yes always;
            add_header X-Sub "<$oa_replay_sub>" always;
            return 403;
        }
    }
CONF

# A state; what is not given is right.
sub state {
    my (%o) = @_;
    my $signed = ($o{version} // 'v1') . '.' . ($o{exp} // time + 60) . '.'
        . ($o{sub} // '-') . '.';
    return $signed . encode_base64url(
        hmac_sha256($signed . ($o{target} // 'm1'), $o{key} // $derived));
}

sub src { "instance=router1;region=fra;t=1;state=$_[0]" }

sub get {
    my ($path, @src) = @_;
    return http_get($ng->port, $path,
                    headers => [ map { ('fly-replay-src' => $_) } @src ]);
}

is get('/', src(state()))->status, 200, 'a good one';
is get('/', src(state(target => '')))->status, 200, 'for any machine';
is get('/', 'state=' . state())->status, 200, 'no other field';
is get('/', 'new=1; ' . src(state()))->status, 200, 'a field nobody knows';

my $user = '0b7e6a55-1c2d-4e3f-8a9b-0123456789ab';
is get('/', src(state(sub => encode_base64url($user))))->header('x-sub'),
    "<$user>", '$oa_replay_sub';
is get('/', src(state(sub => encode_base64url('x' x 128))))->header('x-sub'),
    '<' . 'x' x 128 . '>', 'the longest';

my $good = state();
my @refused = (
    [ 'none' ],
    [ 'two', src($good), src($good) ],
    [ 'two, one of them bad', src($good), src('x') ],
    [ 'empty', '' ],
    [ 'no state', 'instance=router1;region=fra' ],
    [ 'an empty state', src('') ],
    [ 'two states', src($good) . ';state=' . $good ],
    [ 'a field without =', src($good) . ';x' ],
    [ 'commas', "instance=router1,state=$good" ],
    [ 'expired', src(state(exp => time - 1)) ],
    [ 'just expired', src(state(exp => time)) ],
    [ 'long expired', src(state(exp => 1)) ],
    [ 'no time', src(state(exp => '')) ],
    [ 'a negative time', src(state(exp => -1)) ],
    [ 'a leading zero', src(state(exp => '0' . (time + 60))) ],
    [ 'a sign', src(state(exp => '+' . (time + 60))) ],
    [ 'a huge time', src(state(exp => '9' x 19)) ],
    [ 'a longer time', src(state(exp => '9' x 25)) ],
    [ 'another machine', src(state(target => 'm2')) ],
    [ 'another app', src(state(key => hmac_sha256('app2', $master))) ],
    [ 'the master key', src(state(key => $master)) ],
    [ 'a key per machine', src(state(key => hmac_sha256('app/m1', $master))) ],
    [ 'the key as text', src(state(key => encode_base64url($derived))) ],
    [ 'another version', src(state(version => 'v2')) ],
    [ 'no version', src(state(version => '')) ],
    [ 'padded', src("$good=") ],
    [ 'cut', src(substr $good, 0, -1) ],
    [ 'longer', src($good . 'A') ],
    [ 'no MAC', src($good =~ s/[^.]*$//r) ],
    [ 'an empty user', src(state(sub => '')) ],
    [ 'a user in plain text', src(state(sub => 'a.b')) ],
    [ 'a user too long', src(state(sub => encode_base64url('x' x 129))) ],
    [ 'a user with bits left over', src(state(sub => 'AB')) ],
    [ 'in quotes', src(qq("$good")) ],
    [ 'long', src('v1.' . 'A' x 4000) ],
);
for my $case (@refused) {
    my ($name, @src) = @$case;
    my $r = get('/', @src);
    is $r->status, 403, $name;
    like $r->body, qr/"code":"replay_unverified"/, "$name: code";
    is $r->header('x-sub'), '<>', "$name: nobody";
}

my $passed = 0;
for my $bit (0 .. length($good) * 8 - 1) {
    my $flipped = $good;
    vec($flipped, $bit, 1) ^= 1;
    $passed++ if get('/', src($flipped))->status == 200;
}
is $passed, 0, 'no flipped bit passes';

is get('/satisfy')->status, 403, '"satisfy any" does not skip it';
is get('/satisfy', src($good))->status, 200, 'nor add to it';
is get('/off')->status, 200, 'off';

my $r = get('/page');
is $r->status, 403, 'an error_page';
is $r->header('x-page'), 'yes', 'is shown';
is $r->header('x-sub'), '<>', 'and knows nobody';

is http_request($ng->port, '/', method => 'POST', body => 'x' x 1e5)->status,
    403, 'POST';

my @log = $ng->log =~ /replay refused: ([\w -]+)/g;
my %log = map { $_ => 1 } @log;
is_deeply [ sort keys %log ], [ sort 'expired', 'malformed',
    'malformed fly-replay-src', 'no fly-replay-src', 'no state',
    'several fly-replay-src', 'signature' ], 'the log says why';
unlike $ng->log, qr/\Q$good\E/, 'and quotes none';

done_testing;
