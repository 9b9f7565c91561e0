-- Streams of a user, with stand-ins for the settings and the answer.

describe("a user", function()
    local limits, refused

    local function admitted(sub)
        refused, ngx.ctx = nil, {}
        limits.admit(sub and { sub = sub } or nil)
        return refused or "let in", ngx.ctx
    end

    setup(function()
        local kept = {}
        local dict = {
            get = function(_, key) return kept[key] end,
            set = function(_, key, value) kept[key] = value end,
            delete = function(_, key) kept[key] = nil end,
        }
        _G.ngx = { shared = { pushgate_leases = dict }, ctx = {} }
        package.loaded["pushgate.config"] = { get = function()
            return { max_streams = 0, max_streams_per_address = 0, max_streams_per_user = 2 }
        end }
        package.loaded["pushgate.refusal"] = { for_now = function(reason) refused = reason end }
        package.loaded["pushgate.leases"], package.loaded["pushgate.limits"] = nil, nil
        limits = require("pushgate.limits")
    end)

    it("has so many streams and no more, and gets one back for each that ends", function()
        assert.equal("let in", (admitted("anna")))
        local _, second = admitted("anna")
        local answer, third = admitted("anna")
        assert.equal("user_limit", answer)
        assert.equal("let in", (admitted("ben")))
        assert.equal("let in", (admitted(nil)))
        -- The refused request ends first, as it does in nginx.
        ngx.ctx = third
        limits.release()
        assert.equal("user_limit", (admitted("anna")))
        ngx.ctx = second
        limits.release()
        assert.equal("let in", (admitted("anna")))
    end)
end)

describe("the rate of connects", function()
    local limits, refused, passed, wall

    local function arrived()
        refused = nil
        limits.arrive()
        return refused or "let in"
    end

    setup(function()
        local kept = {}
        local dict = {
            get = function(_, key) return kept[key] end,
            set = function(_, key, value) kept[key] = value end,
        }
        passed, wall = 100, 10000
        _G.ngx = { shared = { pushgate_leases = dict }, now = function() return wall end }
        package.loaded["pushgate.monotonic"] = { now = function() return passed end }
        package.loaded["pushgate.config"] = { get = function()
            return { worker_streams = 10, connects_per_second = 2, address_connects_per_second = 0 }
        end }
        package.loaded["pushgate.refusal"] = { for_now = function(reason) refused = reason end }
        package.loaded["pushgate.leases"], package.loaded["pushgate.limits"] = nil, nil
        limits = require("pushgate.limits")
    end)

    it("is the same after the wall clock has been put back", function()
        for _ = 1, 2 do
            assert.equal("let in", arrived())
            assert.equal("let in", arrived())
            assert.equal("rate", arrived())
            passed, wall = passed + 1, wall - 3600
        end
    end)
end)
