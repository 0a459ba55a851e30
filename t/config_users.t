# Whose subjects own the routes: nginx -t.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;
use OA::Routes qw(routes_file);
use OA::Token qw(key jwks);

my %files = ('routes.json' => routes_file('alice'),
             'keys.json' => jwks(key('ES256', kid => 'k1')));

sub issuer {
    return "oa_issuer $_[0] { jwks_file keys.json; audience x; "
           . "issuer https://$_[0].example; }\n";
}

my $routes = "oa_routes t {\n domain openagents.example; "
             . "source file routes.json;%s }\n";
my $server = 'server { listen 127.0.0.1:%%%%PORT_0%%%%; oa_router t; '
             . 'oa_auth %s; }';

sub test {
    my ($http, %o) = @_;
    return OA::Nginx->test_config(files => \%files, http => $http, %o);
}

sub good {
    my ($what, @http) = @_;
    my ($exit, $text) = test(join '', @http);
    is $exit, 0, $what or diag $text;
}

sub bad {
    my ($what, $why, @http) = @_;
    my ($exit, $text) = test(join '', @http);
    is $exit, 1, $what;
    like $text, qr/\[emerg\] .*$why.* in \S+nginx\.conf:\d+/, 'is told why';
}

my ($none, $a, $b, $c) = map { sprintf $routes, $_ }
                         '', ' users a;', ' users b;', ' users c;';
my $on = sprintf $server, 'a';

good('no issuer', $none);
good('no issuer, as without the module', $a);
good('the only issuer', issuer('a'), $none, $on);
good('the only issuer by name', issuer('a'), $a, $on);
good('an issuer that stands behind', $a, issuer('a'), $on);
good('one of two', issuer('a'), issuer('b'), $b, $on);
good('the other', issuer('b'), issuer('a'), $b, $on);

bad('two issuers', 'with several oa_issuer it needs "users"',
    issuer('a'), issuer('b'), $none, $on);
bad('two issuers, one used', 'with several oa_issuer it needs "users"',
    $none, issuer('a'), issuer('b'));
bad('another name', '"users c" names no oa_issuer',
    issuer('a'), issuer('b'), $c, $on);
bad('another than the only one', '"users b" names no oa_issuer',
    issuer('a'), $b, $on);
bad('part of a name', '"users a" names no oa_issuer',
    issuer('ab'), $a, sprintf $server, 'ab');
bad('two of them', 'duplicate "users"', issuer('a'),
    sprintf $routes, ' users a; users a;');
bad('two names', 'number of arguments in "users"', issuer('a'),
    sprintf $routes, ' users a b;');
bad('one of several tables', 'oa_routes "u"', issuer('a'), issuer('b'), $a,
    'oa_routes u { domain x.example; source file routes.json; }', $on);

# oa_login_url and oa_access

my @url = ('https://x.example/', 'http://x.example/?$oa_return_url', 'off');
good("oa_login_url $_", $none, "oa_login_url $_;") for @url;
bad("oa_login_url $_", 'invalid URL', $none, "oa_login_url $_;")
    for '/login', '//x.example/', 'ftp://x.example/', '$arg_url',
        'javascript:alert', '""';
bad('two oa_login_url', 'is duplicate', $none,
    'oa_login_url off; oa_login_url off;');
bad('oa_access nobody', 'invalid value "nobody"', $none, 'oa_access nobody;');

done_testing;
