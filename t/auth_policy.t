# Which kinds of tokens a Supabase issuer's keys sign, and which are taken.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload uuid $ISSUER $USER $SESSION);

my $key = key('ES256');
my $hmac = key('HS256');

# name of an issuer => how it is configured
my $supabase = "jwks_file keys.json; issuer $ISSUER; audience authenticated;";
my %issuer = (
    plain   => $supabase,
    none    => "$supabase accept none;",
    all     => "$supabase accept anonymous service_role third_party "
               . 'no_session;',
    map({ $_ => "$supabase accept $_;" }
        qw(anonymous service_role third_party no_session)),
    minimal => 'jwks_file keys.json; accept no_session;',
    hosted  => 'jwks_file keys.json; audience authenticated; '
               . 'issuer http://127.0.0.1:9999/auth/v1;',
    legacy  => 'secret file:secret; issuer supabase;',
    wide    => 'secret file:secret; issuer supabase; accept service_role '
               . 'no_session;',
    hs      => "secret file:secret; issuer $ISSUER; audience authenticated;",
    other   => 'jwks_file keys.json; issuer https://id.example/; '
               . 'audience authenticated client;',
    told    => 'jwks_file keys.json; issuer https://id.example/; '
               . 'audience authenticated; accept none;',
);
my $issuers = join "\n", map { "oa_issuer $_ { $issuer{$_} }" }
              sort keys %issuer;
my $locations = join '', map { "location /$_ { oa_auth $_; empty_gif; }\n" }
                sort keys %issuer;

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key), 'secret' => $hmac->secret },
    http  => <<"CONF");
    $issuers
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        add_header X-Error \$oa_auth_error always;
        add_header X-Sub "<\$oa_auth_sub>" always;
        $locations
    }
CONF

my $client = OA::Client->new($ng->port);
my $sub;

sub told {
    my ($issuer, $token) = @_;
    my $r = $client->get("/$issuer",
                         headers => [ Authorization => "Bearer $token" ]);
    ($sub) = ($r->header('X-Sub') // '') =~ /^<(.*)>$/;
    return $r->status . ($r->header('X-Error') // '');
}

# The kinds, and what has to be said for each to be taken.

my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

my @kinds = (
    [ "a user's token",                     {}, '' ],
    [ 'one with MFA',                       { aal => 'aal2' }, '' ],
    [ 'one without is_anonymous',           { is_anonymous => undef }, '' ],
    [ 'one of another user',                { sub => uuid() }, '' ],
    [ 'one with aud as an array',
      { aud => [ 'authenticated' ] }, '' ],
    [ 'an anonymous user',                  { is_anonymous => $yes },
      'anonymous' ],
    [ 'is_anonymous, as a string',          { is_anonymous => 'false' },
      'anonymous' ],
    [ 'is_anonymous, as a number',          { is_anonymous => 0 },
      'anonymous' ],
    [ 'a service role',                     { role => 'service_role' },
      'service_role' ],
    [ 'the anon role',                      { role => 'anon' },
      'service_role' ],
    [ 'a role of its own',                  { role => 'manager' },
      'service_role' ],
    [ 'a role in another case',             { role => 'Authenticated' },
      'service_role' ],
    [ 'an OAuth client\'s token',           { client_id => uuid() },
      'third_party' ],
    [ 'an empty client_id',                 { client_id => '' },
      'third_party' ],
    [ 'a client_id of false',               { client_id => $no },
      'third_party' ],
    [ 'no session_id',                      { session_id => undef },
      'no_session' ],
    [ 'a session_id that is no UUID',       { session_id => 'x' },
      'no_session' ],
    [ 'a session_id that is empty',         { session_id => '' },
      'no_session' ],
    [ 'a session_id that is a list',        { session_id => [ $SESSION ] },
      'no_session' ],
    [ 'a session_id in braces',             { session_id => "{$SESSION}" },
      'no_session' ],
    [ 'a session_id without hyphens',
      { session_id => $SESSION =~ s/-//gr }, 'no_session' ],
    [ 'a sub that is no UUID',              { sub => 'alice' },
      'no_session' ],
    [ 'no sub',                             { sub => undef },
      'no_session' ],
    [ 'an anonymous user of a client',
      { is_anonymous => $yes, client_id => 'c' },
      'anonymous third_party' ],
    [ 'no role',                            { role => undef }, 'never' ],
    [ 'a role that is null',                { role => \undef }, 'never' ],
    [ 'a role that is a list',
      { role => [ 'authenticated' ] }, 'never' ],
    [ 'an ID token of the OAuth server',
      { aud => uuid(), role => undef, session_id => undef, nonce => 'n' },
      'never' ],
    [ 'an ID token for our own audience',
      { role => undef, session_id => undef, at_hash => 'x' }, 'never' ],
);

sub minted {
    my ($claims) = @_;
    my $json = payload(claims(%$claims, ref($claims->{role} // '') eq 'SCALAR'
                                        ? (role => 'NULL') : ()));
    return $key->token_raw('{"alg":"ES256","kid":"es256"}',
                           $json =~ s/"NULL"/null/r);
}

for my $kind (@kinds) {
    my ($name, $claims, $needs) = @$kind;
    my $token = minted($claims);
    my @needs = split / /, $needs;

    for my $issuer (qw(plain none anonymous service_role third_party
                       no_session all))
    {
        my $taken = $needs eq 'never' ? 0
                    : $issuer eq 'all' ? 1
                    : !grep { $_ ne $issuer } @needs;
        my $got = told($issuer, $token);
        my $bad = ref $claims->{aud} || ($claims->{aud} // 'authenticated')
                  eq 'authenticated' ? '401claim' : '401audience';
        is $got, $taken ? '200' : $bad,
            "$name, accept $issuer: " . ($taken ? 'taken' : 'refused');
        is $sub, $taken ? $claims->{sub} // (exists $claims->{sub} ? '' : $USER)
                        : '', 'and the sub is told so';
    }
}

# self-hosted, by http and any port: a Supabase issuer, too

my $url = 'http://127.0.0.1:9999/auth/v1';
is told('hosted', $key->token({ iss => $url })), '200', 'self-hosted: a user';
is told('hosted', $key->token({ iss => $url, is_anonymous => $yes })),
    '401claim', 'an anonymous one';

# legacy keys: HS256, iss "supabase", no sub, aud or session_id

my %legacy = map { $_ => $hmac->token_raw('{"alg":"HS256","typ":"JWT"}',
    payload({ iss => 'supabase', ref => 'abcdefghijklmnopqrst', role => $_,
              iat => 1640000000, exp => 4102444800 })) }
    qw(anon service_role);

is told('hs', $hmac->token), '200', 'legacy secret: a user';
for my $role (sort keys %legacy) {
    is told('hs', $legacy{$role}), '401issuer',
        "the public $role key, where users come from the project";
    is told('plain', $legacy{$role}), '401algorithm',
        "the $role key, where keys are public";
    is told('legacy', $legacy{$role}), '200',
        "the $role key, whose issuer is none of Supabase's URLs: relaxed";
    is told('wide', $legacy{$role}), '200', "the $role key, said aloud";
    is $sub, '', 'has no sub';
}
is told('hs', $hmac->token_raw('{"alg":"HS256"}',
    payload({ iss => $ISSUER, aud => 'authenticated', role => 'anon',
              exp => 4102444800 }))),
    '401claim', 'the anon key with our iss and aud';

# minimal tokens, minted from imported keys

my $minimal = $key->token_raw('{"alg":"ES256","kid":"es256"}',
    payload({ sub => $USER, role => 'authenticated', exp => 4102444800 }));
is told($_, $minimal), '401issuer', "a minimal token, accept $_"
    for qw(plain all no_session);
is told('minimal', $minimal), '200', 'a minimal token, all said aloud';

# other issuers are relaxed: sub is a text, role and session their own affair

my %id = (iss => 'https://id.example/', session_id => undef, role => undef,
          is_anonymous => undef);
for my $case ([ 'no role, no session', {} ], [ 'a role', { role => 'x' } ],
              [ 'a client_id', { client_id => 'x' } ],
              [ 'is_anonymous', { is_anonymous => $yes } ],
              [ 'an ID token', { aud => 'client' } ],
              [ 'a sub of letters', { sub => 'auth0|507f1f77bcf' } ],
              [ 'a sub of 255 bytes', { sub => 's' x 255 } ],
              [ 'a sub in UTF-8', { sub => "\x{fc}ser" } ],
              [ 'no sub', { sub => undef } ],
              [ 'a role that is a list', { role => [ 'x' ] } ])
{
    my ($name, $claims) = @$case;
    is told('other', $key->token({ %id, %$claims })), '200',
        "another issuer: $name";
}
is told('other', $key->token({ %id, sub => $_->[1] })), '401claim',
    "another issuer: a sub $_->[0] is refused"
    for [ 'of 256 bytes', 's' x 256 ], [ 'with a line end', "a\nb" ],
        [ 'that is a number', 7 ], [ 'that is a list', [ 'a' ] ],
        [ 'with DEL', "a\x7f" ];
is told('other', $key->token({ %id, exp => undef })), '401claim',
    'another issuer: exp is mandatory';
is told('told', $key->token({ %id })), '401claim',
    'another issuer, accept said: kinds are told apart';
is told('told', $key->token({ iss => 'https://id.example/' })), '200',
    'and a user is taken';

done_testing;
