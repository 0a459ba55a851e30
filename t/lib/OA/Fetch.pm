package OA::Fetch;

# Exchanges of the core's, made by t/module/ngx_oa_test_module.c.

use strict;
use warnings;

use Exporter qw(import);

use OA::Client qw(http_get);
use OA::Nginx;

our @EXPORT_OK = qw(fetch_nginx fetch fetched);

my @MODULES = ('ngx_oa_core_module',
               OA::Nginx::flavour_dir() . '/test/ngx_oa_test_module.so');

sub modules { return \@MODULES }

# An nginx with these locations; "http" is what stands before the server.
sub fetch_nginx {
    my (%o) = @_;
    my $server = delete $o{server};
    my $http = delete $o{http} // '';

    return OA::Nginx->new(modules => \@MODULES, http => <<"CONF", %o);
$http
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $server
    }
CONF
}

sub fetch {
    my ($ng, $path, %o) = @_;
    return fetched(http_get($ng->port, $path, %o));
}

# What came of it.  Without an answer of the module's all is empty but "code".
sub fetched {
    my ($r) = @_;
    my ($error, $status, $type, $retry, $answer) = $r->body
        =~ /^error=(.*?)\nstatus=(\d+)\ntype=(.*?)\nretry=(.*?)\n\n(.*)/s;
    return {
        code => $r->status, error => $error // '', status => $status // 0,
        type => $type // '', retry => $retry // 0, answer => $answer // '',
    };
}

1;

__END__

=head1 SYNOPSIS

    use OA::Fetch qw(fetch_nginx fetch fetched);

    my $ng = fetch_nginx(
        http   => 'oa_trusted_certificate ca.pem;',
        server => 'location /a/ { oa_test_fetch http://127.0.0.1:1; }',
    );                          # and all that OA::Nginx->new takes

    my $f = fetch($ng, '/a/b'); # asks for http://127.0.0.1:1/a/b
    $f->{error};                # or: status, type, retry, answer
    $f->{code};                 # of the module: 429 when too many are out

    fetched($response)          # of any OA::Client response

=cut
