using System.Text;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Explains a fault of JSON, from the parser's message and the bytes at its place.</summary>
internal static class JsonFault
{
    private const int Window = 64, Shown = 20;

    /// <summary>The parser's options for rows: the standard, without repeated names.</summary>
    internal static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>The same for lists of rows.</summary>
    internal static readonly JsonSerializerOptions StrictItems = new() { AllowDuplicateProperties = false, DefaultBufferSize = 1 << 16 };

    /// <summary>What is wrong and how to correct it.</summary>
    /// <param name="fault">The parser's message.</param>
    /// <param name="bytes">Bytes around the place.</param>
    /// <param name="at">The place among them.</param>
    internal static string Tell(JsonException fault, ReadOnlySpan<byte> bytes, int at)
    {
        var rest = Encoding.UTF8.GetString(bytes[Math.Clamp(at, 0, bytes.Length)..]);
        foreach (var (word, advice) in Words)
        {
            // The parser may stop at a letter within the word.
            for (var back = 0; back <= Math.Min(word.Length, at); back++)
            {
                if (bytes[Math.Clamp(at - back, 0, bytes.Length)..].StartsWith(Encoding.UTF8.GetBytes(word)))
                    return advice;
            }
        }
        if (fault.Message.Contains("trailing comma", StringComparison.Ordinal))
            return $"there is a comma before the closing {(rest.StartsWith('}') ? "}" : "]")}. Remove it.";
        if (fault.Message.Contains("Duplicate", StringComparison.OrdinalIgnoreCase))
            return $"a name is twice in the row ({JsonPart.FirstSentence(fault.Message).TrimEnd('.')}). Remove one of the two.";
        if (fault.InnerException is InvalidOperationException)
            return "a text holds half a surrogate pair (\\uD800 to \\uDFFF alone). Write the character as it is.";
        if (rest.StartsWith('\''))
            return "names and texts are in single quotes, as Python prints them. Write the file with json.dumps, which puts double "
                + "quotes.";
        if (fault.Message.Contains("within a JSON string", StringComparison.Ordinal))
            return "a line break or another control character is in a text without an escape. Write it as \\n, \\t or \\u00XX.";
        if (fault.Message.Contains("after a single JSON value", StringComparison.Ordinal))
            return Behind(rest);
        if (rest.Length == 0 || fault.Message.Contains("end of data", StringComparison.Ordinal))
            return "the JSON ends in the middle of a value. Is the file cut off, or does an object go over several lines? Then set "
                + "format: json.";
        return $"this is not JSON: {JsonPart.FirstSentence(fault.Message)}";
    }

    private static string Behind(string rest) => rest.TrimStart().StartsWith('{')
        ? "several objects are on the line. Put each on its own line; a carriage return alone does not end a line."
        : $"something follows the object: '{rest.Trim()[..Math.Min(rest.Trim().Length, Shown)]}'. Remove it.";

    /// <summary>The bytes of a file around a place in it; none where they cannot be read again.</summary>
    /// <param name="file">The file.</param>
    /// <param name="line">The line, from 1.</param>
    /// <param name="at">The byte in the line, from 0.</param>
    internal static (byte[] Bytes, int At) Around(string file, long line, long at)
    {
        try
        {
            using var stream = CheckedTextStream.Open(file);
            foreach (var (number, bytes) in TextLines.Read(file, stream))
            {
                if (number < line)
                    continue;
                var start = (int)Math.Clamp(at - Window, 0, bytes.Length);
                return (bytes[start..Math.Min(bytes.Length, start + 2 * Window)].ToArray(), (int)(at - start));
            }
        }
        catch (InputException)
        {
            // Only the fault that is being reported matters.
        }
        return ([], 0);
    }

    private static readonly (string Word, string Advice)[] Words =
    [
        (
            "NaN", "NaN is not JSON. Write null in its place; in Python json.dumps(..., allow_nan=False) finds such numbers, and to_json "
                + "writes null."),
        ("Infinity", "Infinity is not JSON. Write null or a number in its place."),
        ("None", "None is Python's word. Write the file with json.dumps, which writes null."),
        ("True", "True is Python's word. Write the file with json.dumps, which writes true."),
        ("version https://git-lfs", "the file is a pointer of Git LFS, not the data. Fetch the data: git lfs pull."),
        ("False", "False is Python's word. Write the file with json.dumps, which writes false."),
    ];
}
