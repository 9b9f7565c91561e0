-- Where the namespace is in a cluster, with a table in place of shared memory.

describe("the node of a namespace", function()
    local cluster, state

    before_each(function()
        state = {}
        _G.ngx = { shared = { pushgate_state = {
            get = function(_, key) return state[key] end,
            set = function(_, key, value) state[key] = value end,
            delete = function(_, key) state[key] = nil end,
            incr = function(_, key, by, from)
                state[key] = (state[key] or from) + by
                return state[key]
            end,
        } } }
        package.loaded["pushgate.redis_cluster"] = nil
        cluster = require("pushgate.redis_cluster")
    end)

    local function node(port)
        return { host = "10.0.0.1", port = port }
    end

    it("is the one whose range the slot is in", function()
        local slots = { { 0, 99, { "10.0.0.1", 1, "id" }, { "10.0.0.1", 11, "id" } },
            { 100, 16383, { false, 2, "id" } } }
        assert.same(node(1), cluster.read_slots(slots, 99, node(9)))
        assert.same({ host = "10.0.0.7", port = 2 },
            cluster.read_slots(slots, 100, { host = "10.0.0.7", port = 9 }))
        assert.is_nil(cluster.read_slots({ slots[1] }, 100, node(9)))
        assert.is_nil(cluster.read_slots(false, 100, node(9)))
    end)

    it("is found by all nodes ever named, another one first each time", function()
        cluster.read_slots({ { 0, 16383, { "10.0.0.1", 2, "id" }, { "10.0.0.1", 3, "id" } } }, 1,
            node(1))
        local first = {}
        for _ = 1, 3 do
            local candidates = cluster.candidates({ node(1), node(2) })
            assert.equal(3, #candidates)
            first[candidates[1].port] = true
        end
        assert.same({ true, true, true }, first)
    end)

    it("is remembered until there is trouble with it", function()
        cluster.remember(node(1))
        cluster.forget(node(2))
        assert.same(node(1), cluster.known())
        cluster.forget(node(1))
        assert.is_nil(cluster.known())
        cluster.remember({ host = "::1", port = 1 })
        assert.same({ host = "[::1]", port = 1 }, cluster.known())
    end)

    it("is named by a redirection", function()
        local kind, where = cluster.read_redirection("MOVED 3999 10.0.0.1:6381", node(1))
        assert.same({ "MOVED", node(6381) }, { kind, where })
        kind, where = cluster.read_redirection("ASK 3999 :6381", node(1))
        assert.same({ "ASK", node(6381) }, { kind, where })
        assert.equal("TRYAGAIN", (cluster.read_redirection("TRYAGAIN Multiple keys", node(1))))
        assert.is_nil(cluster.read_redirection("ERR MOVED 1 a:1", node(1)))
    end)
end)
