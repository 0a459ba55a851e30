# Secrets are env:NAME or file:PATH, and no message shows one.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $routes = 'oa_routes t { domain a.example; source file routes.json; } ';

my %env = (GOOD => 'key', EMPTY => '', NEWLINE => "\n", LONG => 'S' x 65537,
           FLY_MACHINE_ID => 'm1', SHORT => 'HUSH' x 10);

sub try {
    my ($conf, %o) = @_;
    return OA::Nginx->test_config(
        env   => { %env, %{ $o{env} // {} } },
        files => { 'oa.conf' => "\n$conf\n", good => "key\n", empty => '',
                   newline => "\n", long => 'S' x 65537 },
        http => "$routes include oa.conf;");
}

sub refused {
    my ($conf, $why, %o) = @_;
    my ($exit, $err) = try($conf, %o);
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:2$}, 'and where';
    unlike $err, qr/SSSS|HUSH|hush/, 'and no secret is shown';
}

sub accepted {
    my ($conf, %o) = @_;
    my ($exit, $err) = try($conf, %o);
    is $exit, 0, "taken: $conf" or diag $err;
}

for my $directive (qw(oa_replay_key oa_machine_key)) {
    accepted("$directive env:GOOD;");
    accepted("$directive file:good;");
    accepted("$directive file:%%DIR%%/good;");

    refused("$directive env:UNSET;", qr/"UNSET" is not set/);
    refused("$directive env:EMPTY;", qr/"env:EMPTY" is empty/);
    refused("$directive env:NEWLINE;", qr/"env:NEWLINE" is empty/);
    refused("$directive env:LONG;", qr/"env:LONG" holds more than/);
    refused("$directive file:none;", qr/none" failed \(2: No such file/);
    refused("$directive file:empty;", qr/"file:empty" is empty/);
    refused("$directive file:newline;", qr/"file:newline" is empty/);
    refused("$directive file:long;", qr/long" holds more than/);
    refused("$directive file:tmp;", qr/tmp" failed \(21: /);
    refused("$directive $_;", qr/must be "env:NAME" or "file:PATH"/)
        for 'HUSHHUSH', 'env:', 'file:', 'ENV:HUSH', '""', 'env';
}

# keys on an agent's machine
my $hex = '0123456789abcdef' x 4;
my $key = 'A' x 43;
accepted('oa_replay_verify env:KEY;', env => { KEY => $_ })
    for $hex, uc $hex, $key, "$key\n", "$hex\n";
accepted('oa_replay_verify off;');
refused('oa_replay_verify env:KEY;', qr/"env:KEY" holds no derived key, exp/,
        env => { KEY => $_ })
    for 'HUSH' x 10, substr($key, 1), $key . 'A', "$key=", 'A' x 42 . 'B',
        'A' x 42 . '+', substr($hex, 1), $hex . '0', 'x' . substr($hex, 1),
        "$key\n\n", " $key";
refused('oa_replay_verify env:UNSET;', qr/"UNSET" is not set/);
refused('oa_replay_verify HUSH;', qr/must be "env:NAME"/);
refused('oa_replay_verify env:KEY; oa_replay_verify off;', qr/is duplicate/,
        env => { KEY => $key });
refused('oa_replay_verify env:KEY;', qr/FLY_MACHINE_ID/,
        env => { KEY => $key, FLY_MACHINE_ID => '' });

subtest 'the one newline' => sub {
    my $ng = OA::Nginx->new(
        env   => { A => 'key', B => "key\n", C => "key\n\n", D => "key\r\n" },
        files => { 'routes.json' => routes_file(
                       route('alice', route_id => 'r')) },
        http  => "$routes server { listen 127.0.0.1:%%PORT_0%%; oa_router t; "
            . join(' ', map {
                  "location /$_ { oa_machine_key env:$_; "
                  . 'return 200 $oa_machine_token; }' } qw(A B C D)) . '}');
    my %token = map { $_ => http_get($ng->port, "/$_",
                                     host => 'alice.a.example')->body }
                qw(A B C D);
    is length $token{A}, 43, 'a token';
    is $token{B}, $token{A}, 'is dropped';
    isnt $token{C}, $token{A}, 'but one alone';
    isnt $token{D}, $token{A}, 'and nothing before it';
};

done_testing;
