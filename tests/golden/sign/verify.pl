# Verifies the DKIM signatures of the message on stdin with Mail::DKIM and prints "selector result" for each.
# The argument is a file of public keys, "name record" a line, used in place of DNS.
use strict;
use warnings;
use Mail::DKIM::PublicKey;
use Mail::DKIM::Verifier;

my %records;
open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!\n";
while (my $line = <$file>) {
    chomp $line;
    my ($name, $text) = split / /, $line, 2;
    $records{$name} = $text;
}
close $file;

{
    no warnings 'redefine';
    *Mail::DKIM::PublicKey::fetch_async = sub {
        my ($class, %asked) = @_;
        my $text = $records{"$asked{Selector}._domainkey.$asked{Domain}"};
        my $key = defined $text ? $class->parse($text) : undef;
        my $deliver = ($asked{Callbacks} || {})->{Success} || sub { $_[0] };
        my $answer = $deliver->($key);
        return sub { $answer };
    };
}

binmode STDIN;
local $/;
my $verifier = Mail::DKIM::Verifier->new;
$verifier->PRINT(<STDIN>);
$verifier->CLOSE;
print $_->selector, ' ', $_->result, "\n" for $verifier->signatures;
