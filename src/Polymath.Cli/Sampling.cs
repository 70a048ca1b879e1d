using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>The options of sampling, the same for every verb that generates.</summary>
internal sealed class Sampling
{
    private const string Own = " The model's generation_config.json sets it where it is left out.";

    private readonly Option<double> temperature =
        new("--temperature") { Description = "0 chooses the most probable token." + Own, DefaultValueFactory = _ => 0.8 };
    private readonly Option<double> topP = new("--top-p")
    {
        Description = "Only the most probable tokens that together reach this probability." + Own, DefaultValueFactory = _ => 1,
    };
    private readonly Option<int> topK =
        new("--top-k") { Description = "Only the K most probable tokens; 0 for all." + Own, DefaultValueFactory = _ => 0 };
    private readonly Option<int> maxNewTokens =
        new("--max-new-tokens") { Description = "The most tokens of an answer." + Own, DefaultValueFactory = _ => 128 };
    private readonly Option<double> minP = new("--min-p")
    {
        Description = "Only tokens with at least this share of the most probable token's probability." + Own, DefaultValueFactory = _ => 0,
    };
    private readonly Option<double> repetition = new("--repetition-penalty")
    {
        Description = "Above 1: tokens that occurred before, also in the prompt, become less probable." + Own, DefaultValueFactory = _ => 1,
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
        new("--stop")
        {
            Description = "A text that ends the answer and is not printed; may be given several times." + Own,
            DefaultValueFactory = _ => [],
        };
    private readonly Option<long?> seed = new("--seed") { Description = "The seed; a new one each time when left out." };

    internal void AddTo(Command command)
    {
        foreach (Option option in new Option[] { temperature, topP, topK, minP, repetition, presence, beams, stop, maxNewTokens, seed })
            command.Add(option);
    }

    /// <summary>Whether an option says how long an answer may be.</summary>
    /// <param name="parsed">The command line.</param>
    internal bool ChoosesLength(ParseResult parsed) => parsed.GetResult(maxNewTokens) is { Implicit: false };

    /// <summary>
    /// Reads the options at once, and returns how they are completed by the settings that a model's folder has for what no option says.
    /// </summary>
    /// <param name="parsed">The command line.</param>
    /// <exception cref="InputException">A number is out of its range.</exception>
    internal Func<LanguageModel, SamplingSettings> Read(ParseResult parsed)
    {
        var asked = Asked(parsed);
        return model => model.Generation is { } own ? Completed(parsed, asked, own) : asked;
    }

    private SamplingSettings Completed(ParseResult parsed, SamplingSettings asked, GenerationConfig own)
    {
        var said = new List<string>();
        T Of<T>(Option option, T? value, T now) where T : struct
        {
            if (value is not { } found || parsed.GetResult(option) is { Implicit: false }) return now;
            said.Add($"{option.Name[2..]} {Convert.ToString(found, CultureInfo.InvariantCulture)}");
            return found;
        }
        IReadOnlyList<string> Texts(IReadOnlyList<string> found)
        {
            if (found.Count == 0 || parsed.GetResult(stop) is { Implicit: false }) return asked.Stops;
            said.Add($"stop {string.Join(" and ", found.Select(text => JsonSerializer.Serialize(text)))}");
            return found;
        }
        var samples = own.Flag("do_sample");
        var heat = samples == false ? 0 : own.Number("temperature");
        // As in transformers, sampling without a temperature is that of the model's own probabilities.
        if (samples == true) heat ??= 1;
        var settings = asked with
        {
            MaxNewTokens = Of(maxNewTokens, own.Count("max_new_tokens"), asked.MaxNewTokens),
            RepetitionPenalty = Of(repetition, own.Number("repetition_penalty"), asked.RepetitionPenalty),
            Stops = Texts(own.Texts("stop_strings")),
        };
        if (asked.Beams == 1) settings = settings with { Temperature = Of(temperature, heat, asked.Temperature) };
        // The most probable token is the same, however many others are left.
        if (asked.Beams == 1 && settings.Temperature > 0)
            settings = settings with
            {
                TopP = Of(topP, own.Number("top_p"), asked.TopP),
                TopK = Of(topK, own.Count("top_k"), asked.TopK),
                MinP = Of(minP, own.Number("min_p"), asked.MinP),
            };
        if (own.Unused is { Count: > 0 } unused)
            Noted.Tell($"the model's {GenerationConfig.FileName} also sets {string.Join(", ", unused)}, which Polymath does not use: "
                + "answers may differ from those of transformers.");
        if (said.Count == 0) return settings;
        try
        {
            settings.Check();
        }
        catch (InputException e)
        {
            throw new InputException($"The model's {GenerationConfig.FileName}: {e.Message} Correct the file, or give the option.", e);
        }
        Noted.Tell($"the model's {GenerationConfig.FileName} sets {string.Join(", ", said)}; an option such as --{said[0].Split(' ')[0]} "
            + "sets another value.");
        return settings;
    }

    private SamplingSettings Asked(ParseResult parsed)
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
