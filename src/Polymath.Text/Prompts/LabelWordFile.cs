using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// Files with label words, as OpenPrompt reads them: <c>.txt</c> and <c>.csv</c> have a line for each class with its words between commas,
/// and an empty line between two verbalizers; <c>.json</c> has an object with the words of each class, or a list of such objects;
/// <c>.jsonl</c> has an object on each line.
/// </summary>
public static class LabelWordFile
{
    /// <summary>Reads the words of each class, in the order of the classes.</summary>
    /// <param name="path">The file.</param>
    /// <param name="classes">The names of the classes; null when the file has lines in their order.</param>
    /// <param name="choice">Which of several verbalizers is meant, from 0.</param>
    /// <param name="count">The number of classes, if known.</param>
    /// <exception cref="InputException">The file is damaged, has fewer verbalizers, or has other classes.</exception>
    public static IReadOnlyList<IReadOnlyList<string>> Read(
        string path,
        IReadOnlyList<string>? classes,
        int choice = 0,
        int? count = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var words = Path.GetExtension(path) switch
        {
            ".txt" or ".csv" => Lines(path, choice),
            ".json" or ".jsonl" => Objects(path, classes, choice),
            var other => throw new InputException($"{path}: label words are in .txt, .csv, .json or .jsonl files, not '{other}'."),
        };
        var wanted = classes?.Count ?? count;
        return wanted is null || wanted == words.Count
            ? words
            : throw new InputException($"{path} has words for {words.Count} classes, but there are {wanted}.");
    }

    private static IReadOnlyList<IReadOnlyList<string>> Lines(string path, int choice)
    {
        var groups = new List<List<string>> { new() };
        foreach (var line in File.ReadLines(path).Select(line => line.Trim()))
        {
            if (line.Length > 0) groups[^1].Add(line);
            else if (groups[^1].Count > 0) groups.Add([]);
        }
        if (groups[^1].Count == 0) groups.RemoveAt(groups.Count - 1);
        return [.. Chosen(groups, choice, path).Select(line => (IReadOnlyList<string>)line.Split(','))];
    }

    private static IReadOnlyList<IReadOnlyList<string>> Objects(string path, IReadOnlyList<string>? classes, int choice)
    {
        var given = Parsed(path);
        if (given.Count == 0) throw new InputException($"{path} has no label words.");
        // A file with one verbalizer is that one, whatever is chosen.
        var one = given.Count == 1 && given[0] is JsonObject ? given[0] : Chosen(given, choice, path);
        return one switch
        {
            JsonObject named => LabelWords.InOrder(
                named.ToDictionary(entry => entry.Key, entry => Words(entry.Value, path), StringComparer.Ordinal), classes),
            JsonArray list => [.. list.Select(words => Words(words, path))],
            _ => throw new InputException($"{path}: a verbalizer is an object with the words of each class."),
        };
    }

    private static IReadOnlyList<JsonNode?> Parsed(string path)
    {
        var text = File.ReadAllText(path);
        try
        {
            return JsonNode.Parse(text) is JsonArray list ? [.. list] : [JsonNode.Parse(text)];
        }
        catch (JsonException) when (path.EndsWith(".jsonl", StringComparison.Ordinal))
        {
            return [.. File.ReadLines(path).Select((line, i) => (line, i)).Where(x => x.line.Trim().Length > 0)
                .Select(x => Line(x.line, $"{path}, line {x.i + 1}"))];
        }
        catch (JsonException e)
        {
            throw new InputException($"{path} is no JSON: {e.Message}", e);
        }
    }

    private static JsonNode? Line(string text, string where)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException e)
        {
            throw new InputException($"{where} is no JSON: {e.Message}", e);
        }
    }

    private static IReadOnlyList<string> Words(JsonNode? node, string path) => node switch
    {
        JsonValue one when one.GetValueKind() == JsonValueKind.String => [one.GetValue<string>()],
        JsonArray list when list.All(word => word?.GetValueKind() == JsonValueKind.String) =>
            [.. list.Select(word => word!.GetValue<string>())],
        _ => throw new InputException($"{path}: the words of a class are a text or a list of texts."),
    };

    private static T Chosen<T>(IReadOnlyList<T> all, int choice, string path) => choice < all.Count
        ? all[choice]
        : throw new InputException($"{path} has {all.Count} verbalizers, so number {choice} (from 0) is not there.");
}
