package OA::Token;

# Signing keys, their JWKS, and tokens as Supabase's auth server signs them.

use strict;
use warnings;

use Carp qw(croak);
use Crypt::Mac::HMAC qw(hmac);
use Crypt::PK::ECC ();
use Crypt::PK::Ed25519 ();
use Crypt::PK::RSA ();
use Crypt::PRNG qw(random_bytes);
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);

our @EXPORT_OK = qw(key jwks claims payload token_raw uuid b64 unb64 $ISSUER
                    $USER $SESSION);

our $ISSUER  = 'https://abcdefghijklmnopqrst.supabase.co/auth/v1';
our $USER    = '2f1c5a9e-6d0b-4f53-9a7e-0c4b8d1e2f30';
our $SESSION = '9b3d7c61-52ae-4c0f-8e14-7a6f5d2c1b09';

my %CURVE = (ES256 => 'secp256r1', ES384 => 'secp384r1', ES512 => 'secp521r1',
             ES256K => 'secp256k1');

my $JSON = JSON::PP->new->canonical->utf8->allow_nonref;

sub b64   { encode_base64url($_[0]) }
sub unb64 { decode_base64url($_[0]) }

sub uuid {
    my @b = unpack 'N n n n N n', random_bytes(16);
    $b[2] = $b[2] & 0x0fff | 0x4000;
    $b[3] = $b[3] & 0x3fff | 0x8000;
    return sprintf '%08x-%04x-%04x-%04x-%08x%04x', @b;
}


# Keys.  One is made when it is first asked for, and kept.

my %keys;

sub key {
    my ($alg, %o) = @_;
    my $kid = exists $o{kid} ? $o{kid} : lc $alg;
    my ($kty, $hash) = $alg =~ /^(RS|PS|ES|HS)(256|384|512)K?$/
        or $alg eq 'EdDSA' or croak "no such algorithm: $alg";

    my $material = join ' ', $kty // '', $CURVE{$alg} // '', $kid // '',
                             map { "$_=" . ($o{$_} // '') }
                             grep { $_ ne 'kid' } sort keys %o;
    $material =~ s/^[RP]S/RSA/;

    return bless {
        alg => $alg, kid => $kid,
        pk => $keys{$material} //= _make($alg, %o),
    }, __PACKAGE__;
}

sub _make {
    my ($alg, %o) = @_;

    if ($alg =~ /^HS(\d+)/) {
        return $o{secret} // random_bytes($1 / 8);
    }

    my $pk = $alg eq 'EdDSA' ? Crypt::PK::Ed25519->new
             : $CURVE{$alg}  ? Crypt::PK::ECC->new
             :                 Crypt::PK::RSA->new;

    return $pk->import_key(\$o{pem})           if $o{pem};
    return $pk->generate_key                   if $alg eq 'EdDSA';
    return $pk->generate_key($CURVE{$alg})     if $CURVE{$alg};
    return $pk->generate_key(($o{bits} // 2048) / 8, $o{e} // 65537);
}

sub alg    { $_[0]{alg} }
sub kid    { $_[0]{kid} }
sub secret { ref $_[0]{pk} ? croak 'a public key has no secret' : $_[0]{pk} }

sub pem {
    my ($self, $type) = @_;
    return $self->{pk}->export_key_pem($type // 'public_x509')
        if $self->{pk}->isa('Crypt::PK::RSA');
    return $self->{pk}->export_key_pem($type // 'public_short')
        if $self->{pk}->isa('Crypt::PK::ECC');
    return $self->{pk}->export_key_pem($type // 'public');
}

# As Supabase publishes it; what is given replaces, undef takes out.
sub jwk {
    my ($self, %more) = @_;
    my $jwk = ref $self->{pk}
        ? $self->{pk}->export_key_jwk('public', 1)
        : { kty => 'oct', k => b64($self->{pk}) };

    return _without_undef({ %$jwk, alg => $self->{alg}, kid => $self->{kid},
                            use => 'sig', key_ops => ['verify'], %more });
}

# The text of a set of keys, hashes (JWKs), or texts (of whatever).
sub jwks {
    my @keys = map {
        ref eq __PACKAGE__ ? $JSON->encode($_->jwk)
        : ref ? $JSON->encode($_) : $_;
    } @_;
    return '{"keys":[' . join(',', @keys) . ']}';
}


# Tokens

sub claims {
    my (%more) = @_;
    my $now = time;

    return _without_undef({
        iss => $ISSUER, sub => $USER, aud => 'authenticated',
        exp => $now + 3600, iat => $now,
        email => 'alice@example.com', phone => '',
        app_metadata  => { provider => 'email', providers => ['email'] },
        user_metadata => {
            email => 'alice@example.com', sub => $USER,
            email_verified => JSON::PP::true,
            phone_verified => JSON::PP::false,
        },
        role => 'authenticated', aal => 'aal1',
        amr => [ { method => 'password', timestamp => $now } ],
        session_id => $SESSION, is_anonymous => JSON::PP::false,
        %more,
    });
}

# The bytes of a payload, escaped as Go does.
sub payload {
    my ($claims) = @_;
    my $text = $JSON->encode($claims);
    $text =~ s/([<>&])/sprintf '\\u%04x', ord $1/ge;
    return $text;
}

sub token {
    my ($self, $claims, %o) = @_;
    my $header = _without_undef({
        alg => $self->{alg}, typ => 'JWT', kid => $self->{kid},
        %{ $o{header} // {} },
    });
    return $self->token_raw($JSON->encode($header),
                            payload(claims(%{ $claims // {} })), %o);
}

# Any bytes as header and payload.  A method: signed with the key.  A
# function: with the signature given, which may be empty.
sub token_raw {
    my $self = ref $_[0] ? shift : undef;
    my ($header, $payload, @rest) = @_;
    my $signed = b64($header) . '.' . b64($payload);

    return "$signed." . b64($rest[0] // '') if !$self;

    my (%o) = @rest;
    return "$signed." . b64($self->sign($signed, $o{alg}));
}

# The raw signature of bytes, whatever the key says it is for.
sub sign {
    my ($self, $bytes, $alg) = @_;
    my ($type, $bits) = ($alg // $self->{alg}) =~ /^(\w\w)(\d*)/;
    my $hash = "SHA$bits";
    my $pk = $self->{pk};

    return hmac($hash, ref $pk ? $self->pem : $pk, $bytes) if $type eq 'HS';
    return $pk->sign_message($bytes, $hash, 'v1.5')        if $type eq 'RS';
    return $pk->sign_message($bytes, $hash, 'pss', $bits / 8)
        if $type eq 'PS';
    return $pk->sign_message_rfc7518($bytes, $hash)        if $type eq 'ES';
    return $pk->sign_message($bytes);
}

sub _without_undef {
    my ($hash) = @_;
    delete $hash->{$_} for grep { !defined $hash->{$_} } keys %$hash;
    return $hash;
}

1;

__END__

=head1 SYNOPSIS

    use OA::Token qw(key jwks claims payload token_raw uuid b64 unb64
                     $ISSUER $USER $SESSION);

    my $key = key('ES256', kid => 'k1');    # the same one at each call
    key('RS256');                           # kid: "rs256"; undef: none
    key('RS256', kid => 'short', bits => 1024);
    key('RS256', kid => 'e', e => 3);       # also pem => $private_pem
    key('HS256', secret => $bytes);         # default: random, ->secret
    # RS PS ES HS with 256 384 512, ES256K, EdDSA (Ed25519)

    my $json = jwks($key, key('RS256'));    # {"keys":[...]}
    jwks($key->jwk(use => 'enc', alg => undef), '{"kty":7}', {});

    $key->token;                            # as Supabase's for $USER
    $key->token({ sub => uuid(), exp => time - 60, email => undef });
    $key->token({}, header => { crit => ['b64'], kid => undef });
    $key->token({}, alg => 'PS256');        # signed so, the header says ES256

Claims by default are C<claims()>: iss $ISSUER, sub $USER, session_id
$SESSION, aud and role "authenticated", an hour to live.  What a test gives
replaces them, undef takes one out.

Hostile ones:

    $key->token_raw('{"alg":"ES256","alg":"none"}', $payload_bytes);
    $key->token_raw($header, payload(claims(a => 1)) . ' x');
    token_raw('{"alg":"none"}', $payload, '');      # signature: these bytes
    $rsa->token({}, alg => 'HS256',                 # keyed with $rsa->pem,
                header => { alg => 'HS256' });      # the public key
    b64($bytes); unb64($text); $key->sign($bytes); $key->sign($bytes, $alg);

=cut
