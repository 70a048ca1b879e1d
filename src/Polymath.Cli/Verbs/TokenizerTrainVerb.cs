using System.CommandLine;
using System.Diagnostics;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath tokenizer train --kind KIND --size N --files FILE... --output FOLDER</c>.</summary>
internal static class TokenizerTrainVerb
{
    private static readonly string[] kinds = ["bpe", "wordpiece", "unigram"];

    internal static Command Make()
    {
        var kind =
            new Option<string>("--kind") { Description = "bpe (byte-level), wordpiece or unigram.", DefaultValueFactory = _ => "bpe" };
        var size = new Option<int>("--size") { Description = "The number of tokens, special ones included.", Required = true };
        var minimumCount = new Option<int>("--minimum-count")
        {
            Description = "How often a pair must occur to be merged (bpe, wordpiece).", DefaultValueFactory = _ => 0,
        };
        var special = new Option<string[]>("--special")
        {
            Description = "Special tokens, which get the first ids.", AllowMultipleArgumentsPerToken = true,
        };
        var files = new Option<string[]>("--files")
        {
            Description = "Text files in UTF-8, one text per line.", AllowMultipleArgumentsPerToken = true, Required = true,
        };
        var output = new Option<string>("--output") { Description = "The folder to write tokenizer.json into.", Required = true };
        var command = new Command("train", "Learns a tokenizer from text files.") { kind, size, minimumCount, special, files, output };
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            parsed.GetValue(kind)!,
            parsed.GetValue(size),
            parsed.GetValue(minimumCount),
            parsed.GetValue(special) ?? [],
            parsed.GetValue(files) ?? [],
            parsed.GetRequiredValue(output),
            place => overwriting.Inside(parsed, place, Tokenizer.FileName))));
        return command;
    }

    private static int Go(
        string kind,
        int size,
        int minimumCount,
        string[] special,
        string[] files,
        string output,
        Func<string, string> free)
    {
        if (!kinds.Contains(kind)) throw new InputException($"--kind is '{kind}'; it must be one of {string.Join(", ", kinds)}.");
        if (size is < 1 or > 1 << 24) throw new InputException($"--size is {size}; it must be from 1 to {1 << 24}.");
        if (minimumCount < 0) throw new InputException($"--minimum-count is {minimumCount}; it must be 0 or more.");
        if (minimumCount > 0 && kind == "unigram") throw new InputException("--minimum-count has no meaning for unigram; leave it out.");
        foreach (var file in files)
            if (!File.Exists(file))
                throw new InputException(Directory.Exists(file)
                    ? $"{file} is a folder. Name its files, such as --files {Path.Combine(file, "*.txt")}."
                    : $"There is no file {file}. Check --files.");
        if (!files.SelectMany(Lines).Any(line => line.Length > 0))
            throw new InputException($"There is nothing to learn from: {string.Join(", ", files)} {(files.Length == 1 ? "is" : "are")} "
                + "empty. Name other files with --files.");
        var written = free(output);
        var started = Stopwatch.GetTimestamp();
        var texts = files.SelectMany(Lines);
        var tokenizer = kind switch
        {
            "wordpiece" => WordPieceTrainer.Train(
                texts, size, minimumCount, special.Length > 0 ? special : ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]),
            "unigram" => UnigramTrainer.Train(texts, size, special),
            _ => ByteLevelBpeTrainer.Train(texts, size, minimumCount, special),
        };
        tokenizer.Save(output);
        Console.WriteLine($"{tokenizer.VocabularySize:N0} tokens learned in {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s: "
            + $"{written}");
        if (tokenizer.VocabularySize < size)
            Console.Error.WriteLine($"polymath: --size asked for {size:N0}; the texts had no more to learn. Give more text for a larger "
                + "vocabulary.");
        return Outcome.Done;
    }

    private static IEnumerable<string> Lines(string file)
    {
        using var reader = new StreamReader(file, new System.Text.UTF8Encoding(false, true));
        for (var number = 1; ; number++)
        {
            string? line;
            try
            {
                line = reader.ReadLine();
            }
            catch (System.Text.DecoderFallbackException e)
            {
                throw new InputException($"{file} is not text in UTF-8, near line {number}. Convert it first.", e);
            }
            if (line is null) yield break;
            yield return line;
        }
    }
}
