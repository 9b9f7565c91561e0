local keys = require("pushgate.keys")
local golden = require("golden")

describe("a Redis key", function()
    for number, case in ipairs(golden.read("keys")) do
        local made = keys.new(case.namespace)
        local known = made[case.call]
        -- The gateway uses some of the keys only; those it knows must be the same.
        if known then
            it("is made as the golden file says, case " .. number, function()
                local key = type(known) == "function" and known(made, unpack(case.args)) or known
                assert.equal(case.key, key)
            end)
        end
    end

    it("needs a namespace that fits", function()
        for _, namespace in ipairs({ "", "A", "a}b", "-a", ("a"):rep(64) }) do
            assert.has_error(function()
                keys.new(namespace)
            end)
        end
    end)
end)
