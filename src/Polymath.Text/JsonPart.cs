using System.Text.Json;
using System.Text.Unicode;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A place in a JSON file that knows its file and key, so that every fault can name both.</summary>
/// <param name="File">The file, as the user knows it.</param>
/// <param name="Path">The keys that lead here, joined by dots.</param>
/// <param name="Element">The value.</param>
internal readonly record struct JsonPart(string File, string Path, JsonElement Element)
{
    /// <summary>Reads a JSON file whole.</summary>
    /// <exception cref="InputException">The file cannot be read or is not JSON.</exception>
    public static byte[] ReadFile(string file)
    {
        try
        {
            return System.IO.File.ReadAllBytes(file);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new InputException($"cannot read {file}: {fault.Message} Check the path.", fault);
        }
    }

    /// <summary>Parses JSON; the root must be an object.</summary>
    /// <exception cref="InputException">The bytes are not JSON in UTF-8, or not an object.</exception>
    public static JsonPart Parse(string file, ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith("\uFEFF"u8))
            bytes = bytes[3..];
        if (!Utf8.IsValid(bytes.Span))
            throw new InputException($"{file} is not JSON in UTF-8. Fetch or save the file again.");
        try
        {
            // The document is not disposed: its elements live as long as the parts, and it holds no pooled memory.
            var root = new JsonPart(file, "", JsonDocument.Parse(bytes).RootElement);
            return root.Element.ValueKind == JsonValueKind.Object ? root : throw root.Fault($"an object is needed here, found {root.Kind}");
        }
        catch (JsonException fault)
        {
            var where = fault.LineNumber is { } line ? $", line {line + 1}, byte {fault.BytePositionInLine + 1}" : "";
            throw new InputException(
                $"{file}{where} is not JSON: {FirstSentence(fault.Message)} Is the file cut off? Fetch or save it again.",
                fault);
        }
    }

    /// <summary>The first sentence of a parser's message, without the position it repeats.</summary>
    public static string FirstSentence(string message)
    {
        var end = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return (end < 0 ? message : message[..end]).TrimEnd('.') + ".";
    }

    private string Kind => Element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };

    /// <summary>A fault at this place.</summary>
    public InputException Fault(string what) =>
        new($"{File}: {(Path.Length == 0 ? "the whole file" : $"key '{Path}'")}: {what}. Fetch or save the file again.");

    /// <summary>The member of that name, or null where it is missing or null.</summary>
    public JsonPart? Find(string key)
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Fault($"an object is needed here, found {Kind}");
        return Element.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? Under(key, value) : null;
    }

    /// <summary>The member of that name.</summary>
    public JsonPart Get(string key) => Find(key) ?? throw Fault($"'{key}' is missing");

    /// <summary>The text here.</summary>
    public string Text()
    {
        if (Element.ValueKind != JsonValueKind.String)
            throw Fault($"a text is needed here, found {Kind}");
        try
        {
            return Element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Fault("the text holds half a surrogate pair");
        }
    }

    /// <summary>True or false.</summary>
    public bool Flag() => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fault($"true or false is needed here, found {Kind}"),
    };

    /// <summary>The whole number here.</summary>
    public int Integer(int least, int most)
    {
        if (Element.ValueKind != JsonValueKind.Number || !Element.TryGetInt32(out var number))
            throw Fault("a whole number is needed here, found "
                + $"{(Element.ValueKind == JsonValueKind.Number ? Element.GetRawText() : Kind)}");
        return number >= least && number <= most ? number : throw Fault($"a number from {least} to {most} is needed here, found {number}");
    }

    /// <summary>The number here.</summary>
    public double Number()
    {
        if (Element.ValueKind == JsonValueKind.Number && Element.TryGetDouble(out var number) && double.IsFinite(number))
            return number;
        throw Fault($"a number is needed here, found {(Element.ValueKind == JsonValueKind.Number ? Element.GetRawText() : Kind)}");
    }

    /// <summary>The items of the list here.</summary>
    public IEnumerable<JsonPart> Items()
    {
        if (Element.ValueKind != JsonValueKind.Array)
            throw Fault($"a list is needed here, found {Kind}");
        var index = 0;
        foreach (var item in Element.EnumerateArray())
            yield return this with { Path = $"{Path}[{index++}]", Element = item };
    }

    /// <summary>The members of the object here, by name.</summary>
    public IEnumerable<(string Name, JsonPart Value)> Members()
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Fault($"an object is needed here, found {Kind}");
        foreach (var member in Element.EnumerateObject())
            yield return (NameOf(member), this with { Element = member.Value });
    }

    private string NameOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            throw Fault("a name holds half a surrogate pair");
        }
    }

    private JsonPart Under(string key, JsonElement value) => new(File, Path.Length == 0 ? key : $"{Path}.{key}", value);
}
