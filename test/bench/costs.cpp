// SPDX-License-Identifier: MIT
//
// This module provides: the suites that ask what a cost depends on: the number of rules ("rules"), of held operations ("held"), of clients
// ("clients"). Each times an IRP-based query of information, unmatched or pended, which does nothing slow below.

#include "measure.hpp"

namespace bench {

namespace {

const Form &query_form() {
    return forms().front();
}

/// One measured line of a suite: a world, what is in it, and what it is called.
struct Line {
    std::string dimensions;
    std::unique_ptr<World> world;
    std::vector<std::unique_ptr<Client>> clients{};
    std::vector<Sample> samples{};
    bool events = false; ///< the clients have subscribed
    void set_rules(const std::vector<Rule> &rules, uint32_t set_id = 0) const {
        need(clients.back()->set_rules(rules, set_id).Status == STATUS_SUCCESS, "the driver does not take the rules");
    }
};

std::unique_ptr<World> world_with_driver(const Plan &plan) {
    auto world = std::make_unique<World>(plan, true);
    world->select();
    return world;
}

/// Takes what the clients' rings hold, so that the next repetition's events find room. How many there were.
uint64_t empty_rings(const Line &line) {
    uint64_t taken = 0;
    line.world->select();
    for (const auto &client : line.clients) {
        uint64_t last = 0;
        for (;;) {
            const Events pulled = client->pull(last);
            if (pulled.events.empty()) {
                break;
            }
            last = pulled.events.back().Sequence;
            taken += pulled.events.size();
        }
        need(client->pull(last).reply.Lost == 0, "a ring was too small: events that are lost cost less");
    }
    return taken;
}

/// Interleaves the repetitions of all lines and prints them.
void measure(const Plan &plan, std::vector<Line> &lines) {
    for (uint32_t repetition = 0; repetition < plan.repetitions; ++repetition) {
        for (Line &line : lines) {
            if (line.events) {
                const uint64_t taken = empty_rings(line);
                need(line.samples.empty() || taken >= line.clients.size() * plan.operations,
                     "the clients got no events");
            }
            line.samples.push_back(run_form(*line.world, query_form(), plan.operations));
        }
    }
    for (const Line &line : lines) {
        print_samples(plan, line.dimensions, line.samples);
    }
}

std::vector<Rule> many(uint32_t count, MINIPEND_OPERATION operation) {
    std::vector<Rule> rules;
    for (uint32_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        rules.push_back(rule(operation, MINIPEND_ACTION_PEND,
                             u"\\nowhere\\" + std::u16string(number.begin(), number.end()) + u"\\*"));
        rules.back().id = i + 1;
    }
    return rules;
}

std::string count_text(const char *suite, const char *name, uint64_t count) {
    return std::string("\"suite\":\"") + suite + "\",\"" + name + "\":" + std::to_string(count);
}

} // namespace

void rules_suite(const Plan &plan) {
    std::vector<Line> lines;
    for (const uint32_t count : {1u, 100u, 10'000u}) {
        for (const bool fits : {false, true}) {
            Line line{count_text("rules", "rules", count) + ",\"rule\":\"" +
                          (fits ? "of this operation, of another path" : "of another operation") + "\"",
                      world_with_driver(plan)};
            line.clients.push_back(std::make_unique<Client>());
            line.set_rules(many(count, fits ? query_form().operation : MINIPEND_OPERATION_RENAME));
            lines.push_back(std::move(line));
        }
    }
    measure(plan, lines);
}

void held_suite(const Plan &plan) {
    std::vector<Line> lines;
    std::vector<std::unique_ptr<GatedReads>> held; // goes before their worlds
    for (const uint32_t count : {0u, 1'000u, 16'384u}) {
        for (const bool pended : {false, true}) {
            if (pended && count == 16'384) {
                continue; // the driver's cap: the next one is refused
            }
            Line line{count_text("held", "held", count) + ",\"filter\":\"" + (pended ? "pended" : "unmatched") + "\"",
                      world_with_driver(plan)};
            line.clients.push_back(std::make_unique<Client>());
            line.set_rules({rule(pended ? query_form().operation : MINIPEND_OPERATION_RENAME, MINIPEND_ACTION_PEND)});
            if (count != 0) {
                held.push_back(std::make_unique<GatedReads>(line.world->test, *line.clients.back(), count));
            }
            lines.push_back(std::move(line));
        }
    }
    measure(plan, lines);
    for (const auto &reads : held) {
        reads->check_held(); // otherwise the numbers would be of something else
    }
}

void clients_suite(const Plan &plan) {
    std::vector<Line> lines;
    for (const uint32_t count : {1u, 8u}) {
        for (const bool pended : {false, true}) {
            Line line{count_text("clients", "clients", count) + ",\"filter\":\"" +
                          (pended ? "pended, one event to each client" : "unmatched") + "\"",
                      world_with_driver(plan)};
            for (uint32_t client = 0; client < count; ++client) {
                line.clients.push_back(std::make_unique<Client>());
                line.set_rules({rule(pended && client + 1 == count ? query_form().operation : MINIPEND_OPERATION_RENAME,
                                     MINIPEND_ACTION_PEND)});
                // One event for each operation; a ring holds those of a whole repetition.
                need(!pended || line.clients.back()
                                        ->subscribe(1u << MINIPEND_EVENT_KIND_COMPLETED, MINIPEND_SUBSCRIBE_ALL_CLIENTS,
                                                    MINIPEND_MAX_EVENT_RING)
                                        .Header.Status == STATUS_SUCCESS,
                     "no events");
            }
            line.events = pended;
            lines.push_back(std::move(line));
        }
    }
    measure(plan, lines);
}

} // namespace bench
