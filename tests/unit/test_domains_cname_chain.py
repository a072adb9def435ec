from relay.domains.cname_chain import MAX_CHAIN, Chain, follow
from relay.resolver import NoSuchDomain, Resolver, TemporaryFailure
from tests.servers import DnsServer


def resolver(server: DnsServer) -> Resolver:
    return server.resolver()


async def test_aliases_are_followed_to_their_end() -> None:
    async with DnsServer("a.test. CNAME b.test.\nb.test. CNAME c.test.\nc.test. A 192.0.2.1") as server:
        chain = await follow(resolver(server), "a.test")
        assert chain == Chain(("b.test", "c.test"))
        assert str(chain) == "b.test → c.test"
        assert await follow(resolver(server), "c.test") == Chain()


async def test_an_alias_without_target_is_found_after_a_lookup_of_it() -> None:
    async with DnsServer("a.test. CNAME gone.test.") as server:
        dns = resolver(server)
        assert await dns.txt("a.test") == NoSuchDomain()
        assert await follow(dns, "a.test") == Chain(("gone.test",))


async def test_a_loop_and_a_chain_too_long_are_endless() -> None:
    circle = "a.test. CNAME b.test.\nb.test. CNAME a.test."
    long = "\n".join(f"n{i}.test. CNAME n{i + 1}.test." for i in range(MAX_CHAIN + 1))
    async with DnsServer(f"{circle}\n{long}") as server:
        assert await follow(resolver(server), "a.test") == Chain(("b.test", "a.test"), endless=True)
        far = await follow(resolver(server), "n0.test")
        near = await follow(resolver(server), "n1.test")
    assert isinstance(far, Chain)
    assert isinstance(near, Chain)
    assert (far.endless, near.endless) == (True, False)
    assert near.names[-1] == f"n{MAX_CHAIN + 1}.test"


async def test_a_timeout_in_a_chain_is_a_temporary_failure() -> None:
    async with DnsServer("a.test. CNAME b.test.", {"b.test": "SERVFAIL"}) as server:
        assert isinstance(await follow(resolver(server), "a.test"), TemporaryFailure)
