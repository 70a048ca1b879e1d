using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Tuning;

/// <summary>
/// Reads the names of a file of low-rank weights. Scripts write the names as PEFT has them in memory (<c>NAME.lora_A.default.weight</c>),
/// as PEFT writes them (<c>base_model.model.NAME.lora_A.weight</c>), or in between.
/// </summary>
internal sealed partial class LoraWeightNames
{
    private readonly Dictionary<(string Target, string Part), string> names = [];

    /// <summary>r.</summary>
    internal int Rank { get; private init; }

    /// <summary>The projections' names.</summary>
    internal IReadOnlyList<string> Targets => [.. names.Keys.Select(key => key.Target).Distinct(StringComparer.Ordinal)];

    /// <summary>The name in the file for PEFT's name of a weight.</summary>
    /// <param name="name">PEFT's name.</param>
    internal string NameOf(string name) => Form().Match(name) is { Success: true } match
        ? names.GetValueOrDefault((match.Groups["target"].Value, match.Groups["part"].Value), name)
        : name;

    internal static LoraWeightNames Read(string path)
    {
        using var file = WeightFile.OpenAny(path);
        var ranks =
            file.Entries.Where(entry => Form().Match(entry.Key) is { Success: true } match && match.Groups["part"].Value == "lora_A")
                .Select(entry => entry.Value.Shape.FirstOrDefault()).Distinct().ToList();
        if (ranks.Count == 0)
            throw new InputException($"{path} holds no weights named as low-rank deltas are (NAME.lora_A.weight, NAME.lora_B.weight). It "
                + $"holds {string.Join(", ", file.Entries.Keys.Take(5))}.");
        if (ranks.Count > 1)
            throw new InputException($"{path} holds deltas of the ranks {string.Join(", ", ranks)}; one rank is supported here. Save the "
                + "adapter with PEFT's save_pretrained, which writes a rank_pattern.");
        var read = new LoraWeightNames { Rank = (int)ranks[0] };
        foreach (var name in file.Entries.Keys)
        {
            // Unknown names are skipped here and refused as unexpected when the weights are read.
            if (Form().Match(name) is not { Success: true } match) continue;
            if (!read.names.TryAdd((match.Groups["target"].Value, match.Groups["part"].Value), name))
                throw new InputException($"{path} holds {match.Groups["part"].Value} of {match.Groups["target"].Value} twice.");
        }
        return read;
    }

    [GeneratedRegex(@"^(base_model\.model\.|base_model\.|module\.)*(?<target>.+)\.(?<part>lora_[AB])(\.default)?(\.weight)?$",
        RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
