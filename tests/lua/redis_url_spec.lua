local redis_url = require("pushgate.redis_url")

describe("the address of Redis", function()
    local function fields(url)
        local address = redis_url.parse(url)
        return { address.host or address.path, address.port or 0, address.db, address.tls,
            address.user or "", address.password or "" }
    end

    it("is read in all its forms", function()
        assert.same({ "127.0.0.1", 6379, 0, false, "", "" }, fields("redis://127.0.0.1"))
        assert.same({ "127.0.0.1", 6380, 2, false, "", "" }, fields("redis://localhost:6380/2"))
        assert.same({ "r", 1, 0, true, "u", "p@:/" }, fields("rediss://u:p%40%3A%2F@r:1/"))
        assert.same({ "r", 6379, 3, false, "", "p" }, fields("redis://:p@r/3"))
        assert.same({ "/run/r.sock", 0, 1, false, "", "" }, fields("unix:///run/r.sock?db=1"))
    end)

    it("names nodes of a cluster", function()
        local address = redis_url.parse("rediss+cluster://u:p@a:7000,localhost,c:1/0")
        assert.same({ { host = "a", port = 7000 }, { host = "127.0.0.1", port = 6379 },
            { host = "c", port = 1 } }, address.nodes)
        assert.same({ true, "u", "p", 0 },
            { address.tls, address.user, address.password, address.db })
        assert.is_nil(address.host)
        for _, place in ipairs({ "a:7000", "a:7000/", "a:7000/0", "b:1,a:7000" }) do
            local nodes = redis_url.parse("redis+cluster://" .. place).nodes
            assert.same({ host = "a", port = 7000 }, nodes[#nodes])
        end
    end)

    it("is refused with what to write instead", function()
        for _, url in ipairs({ "", "127.0.0.1:6379", "http://r", "redis://", "redis://r:x",
            "redis://r/x", "unix://", "redis+cluster://", "redis+cluster://a,,b",
            "redis+cluster://a:7000/1", "redis+cluster://a:x", "unix+cluster://a" }) do
            local address, sentence = redis_url.parse(url)
            assert.is_nil(address)
            assert.truthy(sentence:find("write", 1, true))
        end
    end)

    it("is logged without the password", function()
        assert.equal("redis://...@r:1/0", redis_url.without_password("redis://u:p@r:1/0"))
    end)
end)
