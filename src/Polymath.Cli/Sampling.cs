using System.CommandLine;
using Polymath.Models.Decoding;

namespace Polymath.Cli;

/// <summary>The options of sampling, the same for every verb that generates.</summary>
sealed class Sampling
{
    private readonly Option<double> temperature =
        new("--temperature") { Description = "0 chooses the most probable token.", DefaultValueFactory = _ => 0.8 };
    private readonly Option<double> topP = new("--top-p")
    {
        Description = "Only the most probable tokens that together reach this probability.", DefaultValueFactory = _ => 1,
    };
    private readonly Option<int> topK =
        new("--top-k") { Description = "Only the K most probable tokens; 0 for all.", DefaultValueFactory = _ => 0 };
    private readonly Option<int> maxNewTokens =
        new("--max-new-tokens") { Description = "The most tokens of an answer.", DefaultValueFactory = _ => 128 };
    private readonly Option<double> minP = new("--min-p")
    {
        Description = "Only tokens with at least this share of the most probable token's probability.", DefaultValueFactory = _ => 0,
    };
    private readonly Option<double> repetition = new("--repetition-penalty")
    {
        Description = "Above 1: tokens that occurred before, also in the prompt, become less probable.", DefaultValueFactory = _ => 1,
    };
    private readonly Option<double> presence = new("--presence-penalty")
    {
        Description = "Above 0: tokens that are already in the answer become less probable.", DefaultValueFactory = _ => 0,
    };
    private readonly Option<int> beams = new("--beams")
    {
        Description = "Beam search: the number of beams, of which the most likely is returned; nothing is sampled.",
        DefaultValueFactory = _ => 1,
    };
    private readonly Option<string[]> stop =
        new("--stop") { Description = "A text that ends the answer; may be given several times.", DefaultValueFactory = _ => [] };
    private readonly Option<long?> seed = new("--seed") { Description = "The seed; a new one each time when left out." };

    internal void AddTo(Command command)
    {
        foreach (Option option in new Option[] { temperature, topP, topK, minP, repetition, presence, beams, stop, maxNewTokens, seed })
            command.Add(option);
    }

    internal SamplingSettings Read(ParseResult parsed)
    {
        var settings = new SamplingSettings(
            parsed.GetValue(temperature),
            parsed.GetValue(topK),
            parsed.GetValue(topP),
            parsed.GetValue(maxNewTokens),
            parsed.GetValue(seed) ?? TimeProvider.System.GetTimestamp(),
            parsed.GetValue(minP),
            parsed.GetValue(repetition),
            parsed.GetValue(presence),
            parsed.GetValue(beams))
        {
            Stops = parsed.GetValue(stop) ?? [],
        };
        settings.Check();
        return settings;
    }
}
