package OA::Tls;

# An authority made for one test, and what it signed.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::SSL::Utils qw(CERT_create KEY_create_ec PEM_cert2file
                              PEM_key2file);

our @EXPORT_OK = qw(make_certificates);

sub make_certificates {
    my ($dir, %o) = @_;
    my @names = @{ $o{names} // [ 'localhost', '127.0.0.1' ] };
    my $from = time - 2 * 86400;
    my %common = (
        not_before => $from,
        not_after => $o{expired} ? time - 86400 : time + 86400,
    );

    my ($ca, $ca_key) = CERT_create(
        not_before => $from, not_after => time + 86400, CA => 1,
        subject => { commonName => "Test authority of $dir" },
        key => KEY_create_ec('prime256v1'));
    PEM_cert2file($ca, "$dir/ca.pem");
    chmod 0644, "$dir/ca.pem";

    my ($cert, $key) = CERT_create(
        %common, issuer => [ $ca, $ca_key ], purpose => 'server',
        subject => { commonName => $names[0] },
        subjectAltNames => [
            map { [ /^[\d.]+$|:/ ? 'IP' : 'DNS', $_ ] } @names
        ],
        key => KEY_create_ec('prime256v1'));
    PEM_cert2file($cert, "$dir/cert.pem");
    PEM_key2file($key, "$dir/key.pem");
}

1;

__END__

=head1 SYNOPSIS

    use OA::Tls qw(make_certificates);

    make_certificates($dir,
        names => [ 'keys.example', '::1' ],     # localhost and 127.0.0.1
        expired => 1);

Writes F<ca.pem>, and F<cert.pem> and F<key.pem> that it signed, into $dir.

=cut
